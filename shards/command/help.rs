//! The form of HELP's answers.

use crate::reply::ReplySink;

/// Writes a container's help: a first line, each form with what it does, HELP itself. All lines are simple strings.
pub fn write(reply: &mut dyn ReplySink, container: &str, forms: &[(&str, &str)]) {
    let last = ("HELP", "Print this help.");
    reply.array(1 + 2 * (forms.len() + 1));
    reply.simple(&format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for (form, text) in forms.iter().chain([&last]) {
        reply.simple(form);
        reply.simple(&format!("    {text}"));
    }
}

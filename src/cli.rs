//! The command line: Ringkeep's subcommands, and redis-server's way to give settings.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config::{Override, Source};

/// What the command line asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Invocation {
    /// Run the server.
    Serve {
        /// Where settings come from.
        source: Source,
        /// Settings on the command line, which win.
        overrides: Vec<Override>,
    },
    /// Verify the logs of a data directory.
    Check {
        /// The data directory.
        dir: PathBuf,
    },
    /// Say what this machine lacks.
    CheckHost {
        /// The directory whose file system is looked at.
        dir: Option<PathBuf>,
    },
}

/// A Redis-compatible server whose acknowledged writes are on disk.
#[derive(Parser)]
#[command(name = "ringkeep", version, after_help = SETTINGS_HELP, override_usage = USAGE)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server; this is what happens without a subcommand, too
    // Only for its help: its arguments are not of clap's kind.
    #[command(after_help = SETTINGS_HELP, override_usage = SERVE_USAGE)]
    Serve,
    /// Verify the logs in a data directory, and say what is wrong where; nothing is changed
    Check {
        /// The data directory
        dir: PathBuf,
    },
    /// Say what the kernel, the limits and the file system lack, and the command that mends it
    CheckHost {
        /// The directory that the data is to live in
        dir: Option<PathBuf>,
    },
}

const SERVE_USAGE: &str = "ringkeep [serve] [CONFIG] [--SETTING VALUE...]...";

const USAGE: &str = "\
ringkeep [serve] [CONFIG] [--SETTING VALUE...]...
       ringkeep check DIR
       ringkeep check-host [DIR]";

const SETTINGS_HELP: &str = "\
Settings are those of redis.conf, in the file as well as on the command line:
  ringkeep /etc/redis/redis.conf --port 7000 --requirepass secret
  --bind ADDRESS...     where to listen [127.0.0.1]
  --port N              the base port [6379]
  --dir DIR             the data directory [./ringkeep-data]
  --shards N|auto       how many shards a new data directory gets [auto: one per core]
  --shard-ports N|off   shard 0's own port, the others follow [the base port + 1]
  --requirepass TEXT    the password
  --maxmemory BYTES     how much the data may hold in memory, as in 4gb";

/// Understands the arguments that follow the program's name.
///
/// # Errors
/// What clap has to say to the user: a mistake, or the help or version that was asked for.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, clap::Error> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let first = arguments.first().and_then(|first| first.to_str()).unwrap_or_default();
    let asks_for_help = |argument: &OsString| argument == "--help" || argument == "-h";
    let settings = match first {
        "check" | "check-host" | "help" | "--help" | "-h" | "--version" | "-V" | "-v" => None,
        "serve" if arguments.get(1).is_some_and(asks_for_help) => None,
        "serve" => Some(&arguments[1..]),
        _ => Some(&arguments[..]),
    };
    if let Some(settings) = settings {
        let (source, overrides) = parse_settings(settings);
        return Ok(Invocation::Serve { source, overrides });
    }
    // redis-server has a small v for the version.
    let arguments = arguments.into_iter().map(|argument| if argument == "-v" { "-V".into() } else { argument });
    let cli = Cli::try_parse_from(std::iter::once(OsString::from("ringkeep")).chain(arguments))?;
    Ok(match cli.command {
        Command::Serve => Invocation::Serve { source: Source::Defaults, overrides: Vec::new() },
        Command::Check { dir } => Invocation::Check { dir },
        Command::CheckHost { dir } => Invocation::CheckHost { dir },
    })
}

/// Takes `[CONFIG] --name value... --name value...` apart, as redis-server does.
fn parse_settings(mut arguments: &[OsString]) -> (Source, Vec<Override>) {
    let mut source = Source::Defaults;
    if let Some((first, rest)) = arguments.split_first().filter(|(first, _)| !is_option(first)) {
        source = if first == "-" { Source::Stdin } else { Source::File(PathBuf::from(first)) };
        arguments = rest;
    }
    let mut overrides: Vec<Override> = Vec::new();
    // Whether the option before wants a value, which may then begin with dashes itself.
    let mut wants_value = false;
    for (at, argument) in arguments.iter().enumerate() {
        match overrides.last_mut() {
            Some(setting) if wants_value || !is_option(argument) => {
                setting.0.push(argument.as_bytes().to_vec());
                wants_value = false;
            }
            _ => {
                let setting = parse_option(argument);
                let next_is_option = arguments.get(at + 1).is_none_or(|next| is_option(next));
                wants_value = setting.0.len() == 1;
                overrides.push(setting);
                if wants_value && next_is_option && is_save(overrides.last()) {
                    // `--save --port 7000` comes from scripts that mean `--save ""`.
                    overrides.last_mut().expect("it was just added").0.push(Vec::new());
                    wants_value = false;
                }
            }
        }
    }
    (source, overrides)
}

fn is_option(argument: &OsStr) -> bool {
    argument.as_bytes().starts_with(b"--")
}

fn is_save(setting: Option<&Override>) -> bool {
    setting.is_some_and(|setting| setting.0[0].eq_ignore_ascii_case(b"save"))
}

/// `--name`, `--name=value`, or `--name value...` in one argument.
fn parse_option(argument: &OsString) -> Override {
    let text = argument.clone().into_vec();
    let text = text.strip_prefix(b"--").unwrap_or(&text);
    let name_len = text.iter().position(|byte| *byte == b'=' || byte.is_ascii_whitespace());
    match name_len.map(|len| (text[..len].to_vec(), text[len], &text[len + 1..])) {
        Some((name, b'=', value)) => Override(vec![name, value.to_vec()]),
        // What is not quoted right stays one word, and is refused with the name that it makes.
        _ => match Override::from_line(text) {
            Ok(setting) if !setting.0.is_empty() => setting,
            _ => Override(vec![text.to_vec()]),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invocation(line: &[&str]) -> Result<Invocation, clap::Error> {
        parse(line.iter().map(OsString::from))
    }

    fn serve(line: &[&str]) -> (Source, Vec<String>) {
        let Invocation::Serve { source, overrides } = invocation(line).unwrap() else { panic!("not serve: {line:?}") };
        let text = |word: &Vec<u8>| String::from_utf8(word.clone()).unwrap();
        (source, overrides.iter().map(|setting| setting.0.iter().map(text).collect::<Vec<_>>().join("|")).collect())
    }

    #[test]
    fn nothing_means_serve_with_the_defaults() {
        assert_eq!(serve(&[]), (Source::Defaults, vec![]));
        assert_eq!(serve(&["serve"]), (Source::Defaults, vec![]));
    }

    #[test]
    fn a_file_and_settings_as_redis_server_takes_them() {
        let (source, overrides) =
            serve(&["/etc/redis.conf", "--port", "7000", "--save", "900", "1", "--requirepass", "x"]);
        assert_eq!(source, Source::File(PathBuf::from("/etc/redis.conf")));
        assert_eq!(overrides, ["port|7000", "save|900|1", "requirepass|x"]);
        assert_eq!(serve(&["serve", "-", "--port", "1"]), (Source::Stdin, vec!["port|1".to_owned()]));
        assert_eq!(serve(&["--port 7000", "--bind 1.2.3.4 ::1"]).1, ["port|7000", "bind|1.2.3.4|::1"]);
        assert_eq!(serve(&["--port=7000", "--requirepass=a=b c"]).1, ["port|7000", "requirepass|a=b c"]);
    }

    #[test]
    fn a_value_may_look_like_an_option_but_save_may_lack_one() {
        assert_eq!(serve(&["--requirepass", "--x", "--port", "1"]).1, ["requirepass|--x", "port|1"]);
        assert_eq!(serve(&["--save", "--port", "1"]).1, ["save|", "port|1"]);
        assert_eq!(serve(&["--save"]).1, ["save|"]);
        assert_eq!(serve(&["--slowlog-log-slower-than", "-1"]).1, ["slowlog-log-slower-than|-1"]);
        assert_eq!(serve(&["--port"]).1, ["port"], "refused when it is loaded");
    }

    #[test]
    fn subcommands() {
        assert_eq!(invocation(&["check", "data"]).unwrap(), Invocation::Check { dir: "data".into() });
        assert_eq!(invocation(&["check-host"]).unwrap(), Invocation::CheckHost { dir: None });
        assert_eq!(invocation(&["check-host", "d"]).unwrap(), Invocation::CheckHost { dir: Some("d".into()) });
        let error = invocation(&["check"]).unwrap_err();
        assert_eq!(error.kind(), clap::error::ErrorKind::MissingRequiredArgument);
    }

    #[test]
    fn help_and_version() {
        for line in [&["--version"], &["-v"], &["-V"]] {
            let error = invocation(line).unwrap_err();
            assert_eq!(error.to_string(), concat!("ringkeep ", env!("CARGO_PKG_VERSION"), "\n"));
        }
        for line in [&["--help"][..], &["help"], &["serve", "--help"]] {
            let text = invocation(line).unwrap_err().to_string();
            assert!(text.contains("--shards N|auto") && text.contains("redis.conf"), "{line:?}: {text}");
        }
    }
}

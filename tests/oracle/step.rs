//! One step of a sequence, and the text that tables of edge cases are written in.

use std::fmt;
use std::time::Duration;

/// What is done to both servers.
#[derive(Clone, Debug)]
pub enum Step {
    /// A request, on one of two connections.
    Request {
        /// 0 or 1.
        connection: usize,
        /// The command and its arguments.
        arguments: Vec<Vec<u8>>,
    },
    /// SCAN from cursor 0 until it is 0 again, with these options; the reply is all that it gave, sorted, each key once.
    ScanAll {
        /// What follows the cursor.
        options: Vec<Vec<u8>>,
    },
    /// Time passes.
    Sleep(Duration),
}

impl Step {
    /// A request on the first connection.
    pub fn request<A: AsRef<[u8]>>(arguments: &[A]) -> Step {
        Step::on(0, arguments)
    }

    /// A request on either connection.
    pub fn on<A: AsRef<[u8]>>(connection: usize, arguments: &[A]) -> Step {
        Step::Request { connection, arguments: arguments.iter().map(|argument| argument.as_ref().to_vec()).collect() }
    }
}

/// Reads a table. Blank lines part groups, each of which starts with empty servers and new connections. A line is a request, its
/// arguments parted by blanks; `"..."` holds blanks and the escapes `\r \n \t \" \\ \xHH`. `2> ` before it sends it on the
/// second connection; `sleep MS` waits; `scanall OPTIONS` is SCAN to its end; `#` starts a comment.
pub fn parse_groups(text: &str) -> Vec<Vec<Step>> {
    let mut groups = vec![Vec::new()];
    for line in text.lines().map(str::trim) {
        if line.is_empty() {
            groups.push(Vec::new());
        } else if !line.starts_with('#') {
            groups.last_mut().expect("never empty").push(parse_line(line));
        }
    }
    groups.retain(|group| !group.is_empty());
    groups
}

fn parse_line(line: &str) -> Step {
    let (connection, line) = match line.strip_prefix("2> ") {
        Some(rest) => (1, rest),
        None => (0, line),
    };
    let mut arguments = split(line);
    match arguments[0].as_slice() {
        b"sleep" => {
            let text = String::from_utf8_lossy(&arguments[1]).into_owned();
            Step::Sleep(Duration::from_millis(text.parse().expect("milliseconds")))
        }
        b"scanall" => Step::ScanAll { options: arguments.split_off(1) },
        _ => Step::Request { connection, arguments },
    }
}

fn split(line: &str) -> Vec<Vec<u8>> {
    let mut arguments = Vec::new();
    let mut rest = line.as_bytes();
    loop {
        rest = rest.trim_ascii_start();
        match rest.first() {
            None => return arguments,
            Some(b'"') => {
                let (argument, after) = quoted(&rest[1..], line);
                arguments.push(argument);
                rest = after;
            }
            Some(_) => {
                let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
                arguments.push(rest[..end].to_vec());
                rest = &rest[end..];
            }
        }
    }
}

fn quoted<'a>(mut rest: &'a [u8], line: &str) -> (Vec<u8>, &'a [u8]) {
    let mut argument = Vec::new();
    loop {
        let (&byte, after) = rest.split_first().unwrap_or_else(|| panic!("an open quote in: {line}"));
        rest = after;
        match byte {
            b'"' => return (argument, rest),
            b'\\' => {
                let (&escaped, after) = rest.split_first().unwrap_or_else(|| panic!("an open escape in: {line}"));
                rest = after;
                argument.push(match escaped {
                    b'r' => b'\r',
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'x' => {
                        let digits = std::str::from_utf8(&rest[..2]).expect("two hexadecimal digits");
                        rest = &rest[2..];
                        u8::from_str_radix(digits, 16).expect("two hexadecimal digits")
                    }
                    other => other,
                });
            }
            _ => argument.push(byte),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Request { connection, arguments } => {
                if *connection > 0 {
                    write!(f, "{}> ", connection + 1)?;
                }
                write_arguments(f, arguments)
            }
            Step::ScanAll { options } => {
                write!(f, "scanall ")?;
                write_arguments(f, options)
            }
            Step::Sleep(time) => write!(f, "sleep {}", time.as_millis()),
        }
    }
}

fn write_arguments(f: &mut fmt::Formatter<'_>, arguments: &[Vec<u8>]) -> fmt::Result {
    for (number, argument) in arguments.iter().enumerate() {
        let blank = if number > 0 { " " } else { "" };
        let plain =
            !argument.is_empty() && argument.iter().all(|byte| byte.is_ascii_graphic() && !b"\"\\'".contains(byte));
        if plain {
            write!(f, "{blank}{}", argument.escape_ascii())?;
        } else {
            write!(f, "{blank}\"{}\"", argument.escape_ascii())?;
        }
    }
    Ok(())
}

#[test]
fn a_table_reads_back_as_it_is_shown() {
    let text = "SET k \"a b\\x00\\r\\n\"\n2> GET k\nsleep 5\n\n# other\nscanall COUNT 2\nGET \"\"";
    let groups = parse_groups(text);
    assert_eq!(groups.iter().map(Vec::len).collect::<Vec<_>>(), [3, 2]);
    let Step::Request { arguments, .. } = &groups[0][0] else {
        panic!("a request");
    };
    assert_eq!(arguments[2], b"a b\0\r\n");
    let shown: Vec<String> = groups.iter().flatten().map(Step::to_string).collect();
    assert_eq!(shown, ["SET k \"a b\\x00\\r\\n\"", "2> GET k", "sleep 5", "scanall COUNT 2", "GET \"\""]);
}

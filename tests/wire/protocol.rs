//! Requests in all the ways that bytes can come in, and what is no request.

use super::common::{Client, Random, Reply, Server, encode};
use super::subject;
use std::time::Duration;

/// A stream of requests of every form, and the replies to them.
fn stream_and_replies(server: &Server) -> (Vec<u8>, Vec<u8>) {
    let mut stream = Vec::new();
    encode(&mut stream, &["SET", "key", "some value\r\n$5\r\n"]);
    stream.extend_from_slice(b"PING\r\n");
    encode(&mut stream, &["GET", "key"]);
    stream.extend_from_slice(b"\r\n*0\r\n*-1\r\n");
    stream.extend_from_slice(b"  SET   inline \"a \\x41 b\"  \n");
    encode(&mut stream, &["MGET", "key", "", "inline"]);
    encode(&mut stream, &["ECHO", ""]);
    encode(&mut stream, &["BOGUS", "x"]);
    encode(&mut stream, &["ECHO", "end"]);
    let mut client = server.client();
    client.send_raw(&stream);
    let mut replies = Vec::new();
    while !replies.ends_with(b"$3\r\nend\r\n") {
        replies.extend(client.reply_raw());
    }
    let expected = b"+OK\r\n+PONG\r\n$16\r\nsome value\r\n$5\r\n\r\n+OK\r\n*3\r\n$16\r\nsome value\r\n$5\r\n\r\n$-1\r\n$5\r\na A b\r\n\
        $0\r\n\r\n-ERR unknown command 'BOGUS', with args beginning with: 'x' \r\n$3\r\nend\r\n";
    assert_eq!(replies.escape_ascii().to_string(), expected.escape_ascii().to_string());
    (stream, replies)
}

fn read_exactly(client: &mut Client, replies: &[u8], what: &str) {
    let mut got = Vec::new();
    while got.len() < replies.len() {
        got.extend(client.reply_raw());
    }
    assert_eq!(got.escape_ascii().to_string(), replies.escape_ascii().to_string(), "{what}");
}

#[test]
fn requests_may_be_split_at_any_byte() {
    let server = subject().start();
    let (stream, replies) = stream_and_replies(&server);
    // All splits in two at once: one connection each, so that the pause between the halves is paid once.
    let mut clients: Vec<Client> = (0..=stream.len()).map(|_| server.client()).collect();
    for (at, client) in clients.iter_mut().enumerate() {
        client.send_raw(&stream[..at]);
    }
    std::thread::sleep(Duration::from_millis(50));
    for (at, client) in clients.iter_mut().enumerate() {
        client.send_raw(&stream[at..]);
    }
    for (at, client) in clients.iter_mut().enumerate() {
        read_exactly(client, &replies, &format!("split at {at}"));
    }
}

#[test]
fn requests_may_come_byte_by_byte() {
    let server = subject().start();
    let (stream, replies) = stream_and_replies(&server);
    let mut client = server.client();
    for byte in &stream {
        client.send_raw(&[*byte]);
        std::thread::sleep(Duration::from_micros(300));
    }
    read_exactly(&mut client, &replies, "byte by byte");
}

#[test]
fn requests_may_come_in_random_pieces() {
    let server = subject().start();
    let (stream, replies) = stream_and_replies(&server);
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let mut client = server.client();
        let mut rest = stream.as_slice();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(1 + random.below(rest.len().min(40)));
            client.send_raw(piece);
            rest = after;
            if random.one_in(3) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        read_exactly(&mut client, &replies, &format!("pieces of seed {seed}"));
    }
}

#[test]
fn replies_of_a_deep_pipeline_come_in_order() {
    const REQUESTS: usize = 50_000;
    let server = subject().start();
    let mut client = server.client();
    let mut bytes = Vec::new();
    for number in 0..REQUESTS {
        match number % 3 {
            0 => encode(&mut bytes, &["SET", "counter", &number.to_string()]),
            1 => encode(&mut bytes, &["GET", "counter"]),
            _ => encode(&mut bytes, &["ECHO", &number.to_string()]),
        }
    }
    // The replies are small beside what a server buffers, but a server that stops reading until some are taken is right, too.
    let mut writer = client.stream().try_clone().expect("a second handle");
    let sending = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &bytes));
    for number in 0..REQUESTS {
        let expected = match number % 3 {
            0 => Reply::Simple(b"OK".to_vec()),
            1 => Reply::Bulk((number - 1).to_string().into_bytes()),
            _ => Reply::Bulk(number.to_string().into_bytes()),
        };
        assert_eq!(client.reply(), expected, "request {number}");
    }
    sending.join().expect("the sending thread").expect("all requests sent");
}

#[test]
fn large_values_come_back_whole() {
    let server = subject().start();
    let mut client = server.client();
    let mut random = Random::new(5);
    for bytes in [16 << 10, (64 << 10) - 1, 1 << 20, (32 << 20) + 3] {
        let value: Vec<u8> =
            std::iter::repeat_with(|| random.next().to_le_bytes()).take(bytes / 8 + 1).flatten().collect();
        let value = &value[..bytes];
        assert!(client.command(&[b"SET", b"large".as_slice(), value]).is_ok());
        let reply = client.command(&["GET", "large"]);
        assert!(reply.bytes() == Some(value), "a value of {bytes} bytes came back as another");
        assert_eq!(client.command(&["STRLEN", "large"]), Reply::Integer(bytes as i64));
        assert_eq!(client.command(&["GETRANGE", "large", "-3", "-1"]).bytes(), Some(&value[bytes - 3..]));
    }
    // Several large replies under way at once, among small ones.
    client.command(&["SET", "small", "s"]);
    let requests: Vec<Vec<&str>> = (0..20).map(|number| vec!["GET", ["large", "small"][number % 2]]).collect();
    for (number, reply) in client.pipeline(&requests).iter().enumerate() {
        let length = reply.bytes().expect("a value").len();
        assert_eq!(length, [(32 << 20) + 3, 1][number % 2], "reply {number}");
    }
}

#[test]
fn inline_requests() {
    let server = subject().start();
    let mut client = server.client();
    let mut ask = |line: &str| {
        client.send_raw(line.as_bytes());
        client.reply()
    };
    assert_eq!(ask("PING\r\n"), Reply::Simple(b"PONG".to_vec()));
    assert_eq!(ask("ping\n"), Reply::Simple(b"PONG".to_vec()));
    assert_eq!(ask("\r\n\r\nPING hello\r\n").text(), "hello");
    assert_eq!(ask("ECHO \"two words\"\r\n").text(), "two words");
    assert_eq!(ask("ECHO 'single \\' quoted \\n'\r\n").text(), "single ' quoted \\n");
    assert_eq!(ask("ECHO \"\\x41\\n\\t\\\"\\\\\"\r\n").text(), "A\n\t\"\\");
    assert_eq!(ask("ECHO \"\"\r\n").text(), "");
    assert_eq!(ask("ECHO\t\ttabs\t\r\n").text(), "tabs");
    assert_eq!(ask("ECHO a\"b\r\n").error_text().as_deref(), Some("ERR Protocol error: unbalanced quotes in request"));
    assert_eq!(client.read_to_end(), b"", "closed after a protocol error");
}

#[test]
fn what_is_no_request_gets_an_error_and_is_closed() {
    let server = subject().start();
    let long = |head: &str| head.bytes().chain(std::iter::repeat_n(b'1', 70_000)).collect::<Vec<u8>>();
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"*abc\r\n".to_vec(), "invalid multibulk length"),
        (b"*1.0\r\n".to_vec(), "invalid multibulk length"),
        (b"*2147483648\r\n".to_vec(), "invalid multibulk length"),
        (b"*99999999999999999999\r\n".to_vec(), "invalid multibulk length"),
        (b"*1\r\nabc\r\n".to_vec(), "expected '$', got 'a'"),
        (b"*1\r\n:5\r\n".to_vec(), "expected '$', got ':'"),
        (b"*2\r\n$4\r\nPING\r\n*1\r\n".to_vec(), "expected '$', got '*'"),
        (b"*1\r\n$abc\r\n".to_vec(), "invalid bulk length"),
        (b"*1\r\n$\r\n".to_vec(), "invalid bulk length"),
        (b"*1\r\n$-1\r\n".to_vec(), "invalid bulk length"),
        (b"*1\r\n$536870913\r\n".to_vec(), "invalid bulk length"),
        (b"*1\r\n$99999999999999999999\r\n".to_vec(), "invalid bulk length"),
        (b"GET \"open\r\n".to_vec(), "unbalanced quotes in request"),
        (b"GET 'open\r\n".to_vec(), "unbalanced quotes in request"),
        (b"GET \"a\"b\r\n".to_vec(), "unbalanced quotes in request"),
        (long("SET key "), "too big inline request"),
        (long("*"), "too big mbulk count string"),
        (long("*1\r\n$"), "too big bulk count string"),
    ];
    for (bytes, expected) in cases {
        let mut client = server.client();
        // What comes before the error is answered.
        client.send_raw(b"PING\r\n");
        assert_eq!(client.reply(), Reply::Simple(b"PONG".to_vec()));
        // A server may close before it has taken all of a long one.
        let _ = client.try_send_raw(&bytes);
        let shown = bytes[..bytes.len().min(40)].escape_ascii().to_string();
        let reply = client.try_reply().unwrap_or_else(|error| panic!("after {shown}: {error}"));
        let text = reply.and_then(|(reply, _)| reply.error_text());
        assert_eq!(text, Some(format!("ERR Protocol error: {expected}")), "after {shown}");
        assert_eq!(client.read_to_end(), b"", "closed after {shown}");
    }
    assert!(server.client().run("SET still here").is_ok());
}

#[test]
fn web_browsers_are_shown_the_door() {
    let server = subject().start();
    for line in ["POST / HTTP/1.1\r\n", "Host: localhost\r\n"] {
        let mut client = server.client();
        client.send_raw(line.as_bytes());
        let _ = client.try_send_raw(b"SET smuggled 1\r\n");
        assert_eq!(client.read_to_end(), b"", "after {line}");
    }
    assert_eq!(server.client().run("EXISTS smuggled"), Reply::Integer(0));
}

#[test]
fn random_bytes_never_end_the_server() {
    let mut server = subject().start();
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let mut bytes = Vec::new();
        for _ in 0..1 + random.below(30) {
            match random.below(6) {
                0 => bytes.extend_from_slice(b"\r\n"),
                1 => bytes.extend_from_slice(format!("*{}\r\n", random.between(-2, 5)).as_bytes()),
                2 => bytes.extend_from_slice(format!("${}\r\n", random.between(-2, 9)).as_bytes()),
                3 => encode(&mut bytes, &["GET", "k"]),
                4 => bytes.extend((0..random.below(12)).map(|_| random.next() as u8)),
                _ => bytes.extend_from_slice(random.pick(&["PING", "SET k v", "\"", "*1", "$4", "GET"]).as_bytes()),
            }
        }
        let mut client = server.client();
        let _ = client.try_send_raw(&bytes);
        client.finish_sending();
        let replies = client.read_to_end();
        let mut rest = replies.as_slice();
        while !rest.is_empty() {
            let parsed = Reply::parse(rest).unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
            let (_, length) = parsed.unwrap_or_else(|| panic!("seed {seed}: half a reply: {}", rest.escape_ascii()));
            rest = &rest[length..];
        }
    }
    assert!(server.is_running());
    assert_eq!(server.client().run("PING").text(), "PONG");
}

#[test]
fn a_request_cut_off_by_the_end_does_nothing() {
    let server = subject().start();
    let mut client = server.client();
    client.send_raw(b"*3\r\n$3\r\nSET\r\n$3\r\nhal\r\n$4\r\nha");
    client.finish_sending();
    assert_eq!(client.read_to_end(), b"");
    assert_eq!(server.client().run("EXISTS hal"), Reply::Integer(0));
    // Requests that are whole are answered even if the client has said that no more will come.
    let mut client = server.client();
    client.send_raw(b"SET whole 1\r\nGET whole\r\n");
    client.finish_sending();
    assert_eq!(client.read_to_end(), b"+OK\r\n$1\r\n1\r\n");
}

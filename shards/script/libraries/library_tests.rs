//! The libraries in whole scripts, where no Redis is needed to know the answer.

use super::super::fake_host::Bench;

fn check(bench: &mut Bench, cases: &[(&str, &str)]) {
    for (source, expected) in cases {
        assert_eq!(bench.eval(source), *expected, "{source}");
    }
}

#[test]
fn values_are_written_and_read() {
    check(
        &mut Bench::new(),
        &[
            (
                r#"return cjson.encode({1, 'a"/', true, cjson.null, {}, {x = 0.5}})"#,
                "$34\r\n[1,\"a\\\"\\/\",true,null,{},{\"x\":0.5}]\r\n",
            ),
            (r#"return cjson.decode('{"a":[1,{"b":"\\u20ac"}]}').a[2].b"#, "$3\r\n\u{20ac}\r\n"),
            ("return cjson.decode('[1,null]')[2] == cjson.null", ":1\r\n"),
            ("return cmsgpack.unpack(cmsgpack.pack({a = {1, 2, 'x'}})).a[3]", "$1\r\nx\r\n"),
            ("return {cmsgpack.unpack(cmsgpack.pack(1, 'two', 3))}", "*3\r\n:1\r\n$3\r\ntwo\r\n:3\r\n"),
            (
                "return {struct.unpack('>I2sb', struct.pack('>I2sb', 513, 'name', -5))}",
                "*4\r\n:513\r\n$4\r\nname\r\n:-5\r\n:9\r\n",
            ),
            ("return struct.size('!8bd')", ":16\r\n"),
        ],
    );
}

#[test]
fn errors_name_the_line_and_the_place() {
    check(
        &mut Bench::new(),
        &[
            (
                "\nreturn cjson.decode('[1,]')",
                "-ERR user_script:2: Expected value but found T_ARR_END at character 4 script: <sha>, on @user_script:2.\r\n",
            ),
            (
                "\nreturn struct.pack('q')",
                "-ERR user_script:2: bad argument #1 to 'pack' (invalid format option 'q') script: <sha>, on @user_script:2.\r\n",
            ),
            (
                "local l = {encode = cjson.encode} local t = l.encode()",
                "-ERR user_script:1: bad argument #1 to 'encode' (expected 1 argument) script: <sha>, on @user_script:1.\r\n",
            ),
            (
                "local o = setmetatable({}, {__index = struct}) o:pack()",
                "-ERR user_script:1: calling 'pack' on bad self (string expected, got table) script: <sha>, on @user_script:1.\r\n",
            ),
            (
                "local value = cmsgpack.unpack('\\129\\192\\1')",
                "-ERR table index is nil script: <sha>, on @user_script:1.\r\n",
            ),
        ],
    );
}

/// In Redis they last as long as the interpreter does.
#[test]
fn options_end_with_the_run_that_chose_them() {
    let choices = "cjson.encode_max_depth(5) cjson.decode_max_depth(6) cjson.encode_number_precision(3)
        cjson.encode_sparse_array(true, 7, 8) cjson.encode_keep_buffer(false) cjson.encode_invalid_numbers('null')
        cjson.decode_invalid_numbers(false) ";
    let answer = "return {cjson.encode_max_depth(), cjson.decode_max_depth(), cjson.encode_number_precision(),
        {cjson.encode_sparse_array()}, cjson.encode_keep_buffer(), cjson.encode_invalid_numbers(), cjson.decode_invalid_numbers()}";
    let chosen = "*7\r\n:5\r\n:6\r\n:3\r\n*3\r\n:1\r\n:7\r\n:8\r\n$-1\r\n$4\r\nnull\r\n$-1\r\n";
    let fresh = "*7\r\n:1000\r\n:1000\r\n:14\r\n*3\r\n$-1\r\n:2\r\n:10\r\n:1\r\n$-1\r\n:1\r\n";
    let mut bench = Bench::new();
    assert_eq!(bench.eval(&format!("{choices} {answer}")), chosen);
    assert_eq!(bench.eval(answer), fresh);
    assert_eq!(bench.eval(&format!("{choices} error('x')")).as_bytes()[0], b'-');
    assert_eq!(bench.eval(answer), fresh);
    // Another instance has its own.
    assert_eq!(
        bench.eval(&format!("local other = cjson.new() {} {answer}", choices.replace("cjson.", "other."))),
        fresh
    );
    let of_other = format!("local cjson = cjson.new() {choices} collectgarbage() {answer}");
    assert_eq!(bench.eval(&of_other), chosen);
}

#[test]
fn memory_is_bounded() {
    let mut bench = Bench::with_memory(8 << 20);
    for source in [
        "cjson.encode_sparse_array(false, 0) return cjson.encode({[2147483647] = 1})",
        "local t = {} for i = 1, 40 do t = {t, t} end return cjson.encode(t)",
        "local t = {'x'} for i = 1, 15 do t = {t, t, t, t} end return cmsgpack.pack(t)",
        "local s = ('x'):rep(100000) local t = {} for i = 1, 7000 do t[i] = s end return cmsgpack.pack(unpack(t))",
        "local s = ('x'):rep(1000000) return struct.pack(('s'):rep(20), s,s,s,s,s,s,s,s,s,s,s,s,s,s,s,s,s,s,s,s)",
        "return cjson.decode('[' .. ('[],'):rep(500000) .. '1]')",
        "return cjson.decode('[' .. ('1,'):rep(1000000) .. '1]')",
        "return cjson.decode('[\"' .. ('\\\\n'):rep(2500000) .. '\"]')",
        "return (cmsgpack.unpack('\\221\\0\\15\\255\\255' .. ('\\144'):rep(2000000)))",
        "return (cmsgpack.unpack('\\221\\0\\31\\255\\255' .. ('\\1'):rep(3000000)))",
        "local data = ('y'):rep(1000000) return {struct.unpack(('c900000!'):rep(9), data:rep(4))}",
    ] {
        let reply = bench.eval(source);
        assert!(reply.starts_with("-ERR ") && reply.contains("not enough memory"), "{source}: {reply:.200}");
        assert_eq!(bench.eval("return 1"), ":1\r\n");
    }
}

/// Texts that promise more than they hold, or nest as deep as the stack allows, cost no more than what they hold.
#[test]
fn promises_are_not_believed() {
    let mut bench = Bench::with_memory(32 << 20);
    let missing = "-ERR user_script:1: Missing bytes in input. script: <sha>, on @user_script:1.\r\n";
    check(
        &mut bench,
        &[
            ("local value = cmsgpack.unpack('\\221\\255\\255\\255\\255\\1')", missing),
            ("local value = cmsgpack.unpack('\\223\\255\\255\\255\\255\\1\\1')", missing),
            ("local value = cmsgpack.unpack('\\219\\255\\255\\255\\255x')", missing),
            ("cjson.decode_max_depth(2^31 - 1) return pcall(cjson.decode, ('['):rep(100000))", "$-1\r\n"),
            ("return pcall(cmsgpack.unpack, ('\\145'):rep(100000))", "$-1\r\n"),
            ("return pcall(cmsgpack.unpack, ('\\129'):rep(100000))", "$-1\r\n"),
            (
                "cjson.encode_max_depth(2^31 - 1) local t = {} for i = 1, 100000 do t = {t} end return pcall(cjson.encode, t)",
                "$-1\r\n",
            ),
        ],
    );
}

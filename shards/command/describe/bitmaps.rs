//! Bits of strings: what COMMAND tells about these commands.

use super::category;
use super::doc::{Doc, access, block, doc, integer, key, one_of, range, string, token};

/// The descriptions of this group.
pub(super) static DOCS: &[Doc] = &[
    doc("bitcount", "2.6.0", "O(N), N bytes", "Count the bits that are 1 in a string.")
        .categories(category::BITMAP)
        .keys(&[range(1, 0, 1, access::RO | access::ACCESS)])
        .arguments(&[
            key("key", 0),
            block(
                "range",
                &[
                    integer("start"),
                    integer("end"),
                    one_of("unit", &[token("byte", "BYTE"), token("bit", "BIT")]).since("7.0.0").optional(),
                ],
            )
            .optional(),
        ]),
    doc("bitfield", "3.2.0", "O(1) per operation", "Read and write integers of any width inside a string.")
        .categories(category::BITMAP)
        .keys(&[range(1, 0, 1, access::RW | access::UPDATE | access::ACCESS | access::VARIABLE_FLAGS)
            .note("reads, writes, or both")])
        .arguments(&[
            key("key", 0),
            one_of(
                "operation",
                &[
                    block("get-block", &[string("encoding"), integer("offset")]).token("GET"),
                    block(
                        "write",
                        &[
                            one_of(
                                "overflow-block",
                                &[token("wrap", "WRAP"), token("sat", "SAT"), token("fail", "FAIL")],
                            )
                            .token("OVERFLOW")
                            .optional(),
                            one_of(
                                "write-operation",
                                &[
                                    block("set-block", &[string("encoding"), integer("offset"), integer("value")])
                                        .token("SET"),
                                    block(
                                        "incrby-block",
                                        &[string("encoding"), integer("offset"), integer("increment")],
                                    )
                                    .token("INCRBY"),
                                ],
                            ),
                        ],
                    ),
                ],
            )
            .optional()
            .multiple(),
        ]),
    doc("bitfield_ro", "6.0.0", "O(1) per operation", "Read integers of any width inside a string.")
        .categories(category::BITMAP)
        .keys(&[range(1, 0, 1, access::RO | access::ACCESS)])
        .arguments(&[
            key("key", 0),
            block("get-block", &[string("encoding"), integer("offset")]).token("GET").optional().multiple_token(),
        ]),
    doc("bitop", "2.6.0", "O(N), N bytes", "Combine strings bit by bit and keep the result.")
        .categories(category::BITMAP)
        .keys(&[range(2, 0, 1, access::OW | access::UPDATE), range(3, -1, 1, access::RO | access::ACCESS)])
        .arguments(&[
            one_of("operation", &[token("and", "AND"), token("or", "OR"), token("xor", "XOR"), token("not", "NOT")]),
            key("destkey", 0),
            key("key", 1).multiple(),
        ]),
    doc("bitpos", "2.8.7", "O(N), N bytes", "Find the first bit that is 1, or 0, in a string.")
        .categories(category::BITMAP)
        .keys(&[range(1, 0, 1, access::RO | access::ACCESS)])
        .arguments(&[
            key("key", 0),
            integer("bit"),
            block(
                "range",
                &[
                    integer("start"),
                    block(
                        "end-unit-block",
                        &[
                            integer("end"),
                            one_of("unit", &[token("byte", "BYTE"), token("bit", "BIT")]).since("7.0.0").optional(),
                        ],
                    )
                    .optional(),
                ],
            )
            .optional(),
        ]),
    doc("getbit", "2.2.0", "O(1)", "Read one bit of a string.")
        .categories(category::BITMAP)
        .keys(&[range(1, 0, 1, access::RO | access::ACCESS)])
        .arguments(&[key("key", 0), integer("offset")]),
    doc("setbit", "2.2.0", "O(1)", "Write one bit of a string, which grows if need be.")
        .categories(category::BITMAP)
        .keys(&[range(1, 0, 1, access::RW | access::ACCESS | access::UPDATE)])
        .arguments(&[key("key", 0), integer("offset"), integer("value")]),
];

//! A .proto that is wrong: the error says where and what.

use std::path::Path;

fn compile(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.proto");
    std::fs::write(&file, text).unwrap();
    let error = micro_build::configure().out_dir(folder.path()).compile(&[&file]).unwrap_err();
    // What a failing build script prints is `Debug`.
    assert_eq!(error.to_string(), format!("{error:?}"));
    error.to_string()
}

#[test]
fn a_syntax_error_names_file_line_and_column() {
    let error = compile("syntax = \"proto3\";\nmessage Order {\n  string id 1;\n}\n");
    assert!(error.starts_with("shop.proto:3:13: expected"), "{error}");
}

#[test]
fn an_unknown_type_names_file_line_and_column() {
    let error = compile("syntax = \"proto3\";\nmessage Order {\n  Item item = 1;\n}\n");
    assert!(error.starts_with("shop.proto:3:3: ") && error.contains("Item"), "{error}");
}

#[test]
fn a_missing_import_names_the_line() {
    let error = compile("syntax = \"proto3\";\nimport \"nowhere.proto\";\n");
    assert!(error.contains("shop.proto:2:1") && error.contains("nowhere.proto"), "{error}");
}

#[test]
fn a_missing_file_names_the_path_and_the_folder_it_was_looked_for() {
    let error = micro_build::configure().out_dir(".").compile(&["proto/nowhere.proto"]).unwrap_err().to_string();
    assert!(error.contains("proto/nowhere.proto") && error.contains("relative to the crate's folder"), "{error}");
}

#[test]
fn two_rpcs_of_one_rust_name_are_refused_with_their_place() {
    let error = compile(
        "syntax = \"proto3\";\npackage a;\nmessage M {}\nservice S {\n  rpc GetUrl(M) returns (M);\n  \
         rpc GetURL(M) returns (M);\n}\n",
    );
    assert_eq!(
        error,
        "shop.proto:6:3: the rpcs GetUrl and GetURL of service S both become `get_url` in Rust; rename one"
    );
}

#[test]
fn a_message_that_is_called_as_the_client_is_refused_with_the_services_place() {
    let error = compile(
        "syntax = \"proto3\";\npackage a;\nmessage ShopClient {}\nservice Shop {\n  rpc A(ShopClient) returns (ShopClient);\n}\n",
    );
    assert_eq!(
        error,
        "shop.proto:4:1: service Shop makes a Rust type `ShopClient`, and so does the message or enum ShopClient; \
         rename one"
    );
}

#[test]
fn two_values_of_one_rust_name_are_refused_with_their_place() {
    let error = compile(
        "syntax = \"proto3\";\nmessage M {\n  enum Kind {\n    KIND_FOO_BAR = 0;\n    KindFooBar = 1;\n  }\n}\n",
    );
    assert_eq!(
        error,
        "shop.proto:5:5: KIND_FOO_BAR and KindFooBar of enum Kind both become `FooBar` in Rust; rename one"
    );
}

#[test]
fn a_type_of_googles_that_is_not_there_is_refused_with_those_that_are() {
    let error = compile(
        "syntax = \"proto3\";\nimport \"google/protobuf/type.proto\";\nmessage M {\n  google.protobuf.Type t = 1;\n}\n",
    );
    assert!(error.starts_with("shop.proto:4:3: google.protobuf.Type is not among the types that micro-rs has: Any,"));
    assert!(error.ends_with("or name a Rust type by `extern_path`"), "{error}");
}

#[test]
fn an_edition_is_refused_with_what_to_write() {
    let error = compile("edition = \"2023\";\nmessage M {}\n");
    assert!(error.starts_with("shop.proto:1:1: ") && error.ends_with("write syntax = \"proto3\""), "{error}");
}

#[test]
fn without_a_place_to_write_to_it_says_so() {
    // Cargo sets OUT_DIR for build scripts only, not for this crate's tests.
    assert!(Path::new("Cargo.toml").exists());
    if std::env::var_os("OUT_DIR").is_none() {
        let error = micro_build::compile(&["a.proto"]).unwrap_err().to_string();
        assert!(error.contains("OUT_DIR is not set"), "{error}");
    }
}

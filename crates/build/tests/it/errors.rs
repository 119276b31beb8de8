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
fn without_a_place_to_write_to_it_says_so() {
    // Cargo sets OUT_DIR for build scripts only, not for this crate's tests.
    assert!(Path::new("Cargo.toml").exists());
    if std::env::var_os("OUT_DIR").is_none() {
        let error = micro_build::compile(&["a.proto"]).unwrap_err().to_string();
        assert!(error.contains("OUT_DIR is not set"), "{error}");
    }
}

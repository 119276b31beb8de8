//! The files that come out.

use std::path::Path;

#[test]
fn the_code_is_what_the_generator_makes_today() {
    let out = tempfile::tempdir().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let proto = folder.join("proto");
    micro_build::configure()
        .include(&proto)
        .codegen("::micro_rpc::codegen")
        .out_dir(out.path())
        .compile(
            &[
                "kinds/v1/kinds.proto",
                "kinds/money.proto",
                "rootless.proto",
                "legacy.proto",
                "calls/calls.proto",
                "words.proto",
                "sample.proto",
            ]
            .map(|f| proto.join(f)),
        )
        .unwrap();
    let mut seen = 0;
    for entry in std::fs::read_dir(out.path()).unwrap() {
        let entry = entry.unwrap();
        let kept = folder.join("generated").join(entry.file_name());
        assert!(
            std::fs::read(entry.path()).unwrap() == std::fs::read(&kept).unwrap_or_default(),
            "{} is out of date: cargo run --package micro-build --example fixtures",
            kept.display()
        );
        seen += 1;
    }
    assert!(seen >= 10, "only {seen} files");
}

#[test]
fn a_file_that_has_not_changed_is_not_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let proto = folder.path().join("a.proto");
    std::fs::write(&proto, "syntax = \"proto3\"; package a; message A {}").unwrap();
    let compile = || micro_build::configure().out_dir(folder.path()).compile(&[&proto]).unwrap();
    compile();
    let written = || std::fs::metadata(folder.path().join("a.rs")).unwrap().modified().unwrap();
    let first = written();
    compile();
    assert_eq!(written(), first);
}

#[test]
fn files_without_a_package_are_named_after_themselves() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["one", "two"] {
        let text = format!("syntax = \"proto3\"; message {name} {{}}");
        std::fs::write(folder.path().join(format!("{name}.proto")), text).unwrap();
    }
    let files = ["one.proto", "two.proto"].map(|name| folder.path().join(name));
    micro_build::configure().out_dir(folder.path()).compile(&files).unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(read("one.rs").contains("pub struct One") && !read("one.rs").contains("pub struct Two"));
    assert!(read("two.rs").contains("pub struct Two"));
}

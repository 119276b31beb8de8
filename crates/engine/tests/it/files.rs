use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use micro_core::Kind;
use micro_engine::{Database, Home, Schema};

const ONE: Schema = Schema { what: "test", steps: &["CREATE TABLE a (n INTEGER)"] };
const TWO: Schema =
    Schema { what: "test", steps: &["CREATE TABLE a (n INTEGER)", "ALTER TABLE a ADD COLUMN m INTEGER"] };

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_folder_and_its_files_are_for_their_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/home");
    let home = Home::open(&path, "test").unwrap();
    let database = Database::open(&home, "x.db", &ONE).unwrap();
    database.connection().execute("INSERT INTO a VALUES (1)", []).unwrap();
    assert_eq!((mode(&path), mode(home.run())), (0o700, 0o700));
    for file in ["x.db", "x.db-wal", "x.db-shm", "x.lock", "x.turn"] {
        assert_eq!(mode(&path.join(file)), 0o600, "{file}");
    }
}

#[test]
fn a_network_file_system_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for (probe, name) in
        [((|_| Ok(0x6969)) as micro_engine::Probe, "nfs"), (|_| Ok(0xff53_4d42), "cifs"), (|_| Ok(0x0102_1997), "9p")]
    {
        let error = Home::open_with(folder.path(), "test", probe).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), Kind::Config);
        for word in [&folder.path().display().to_string(), &format!("({name})"), "MICRO_HOME", "local disk"] {
            assert!(text.contains(word), "{word} is not in: {text}");
        }
    }
    assert!(Home::open_with(folder.path(), "test", |_| Ok(0xef53)).is_ok(), "ext4 is fine");
}

#[test]
fn a_file_in_the_place_of_the_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, "").unwrap();
    let error = Home::open(path.join("home"), "test").unwrap_err();
    assert!(error.kind() == Kind::Config && error.to_string().contains("is a file, not a folder"), "{error}");
}

#[test]
fn a_file_of_an_older_program_is_brought_to_this_version_and_keeps_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::open(folder.path(), "test").unwrap();
    Database::open(&home, "x.db", &ONE).unwrap().connection().execute("INSERT INTO a VALUES (7)", []).unwrap();
    let database = Database::open(&home, "x.db", &TWO).unwrap();
    let row: (i64, Option<i64>) =
        database.connection().query_row("SELECT n, m FROM a", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(row, (7, None));
    drop(database);
    let error = Database::open(&home, "x.db", &ONE).unwrap_err();
    assert!(error.kind() == Kind::NewerVersion && error.to_string().contains("version 2"), "{error}");
}

#[test]
fn the_write_ahead_log_does_not_grow_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::open(folder.path(), "test").unwrap();
    let schema = Schema { what: "test", steps: &["CREATE TABLE a (n BLOB)"] };
    let database = Database::open(&home, "x.db", &schema).unwrap();
    for _ in 0..120 {
        database.connection().execute("INSERT INTO a VALUES (zeroblob(1000000))", []).unwrap();
    }
    let size = std::fs::metadata(folder.path().join("x.db-wal")).unwrap().len();
    assert!(size < 64 << 20, "{} MiB", size >> 20);
}

/// Says what folder is meant, in a process whose environment the test chose; nothing otherwise.
#[expect(clippy::print_stdout, reason = "the second process answers by its output")]
#[test]
fn role() {
    if std::env::var_os("MICRO_TEST_ASK").is_some() {
        println!("@{:?}", Home::default_path().map_err(|error| (error.kind(), error.to_string())));
    }
}

fn default_path(set: &[(&str, &str)]) -> String {
    let mut ask = std::process::Command::new(std::env::current_exe().unwrap());
    ask.args(["--exact", "files::role", "--nocapture"]).env("MICRO_TEST_ASK", "1");
    ask.env_remove("HOME").env_remove("MICRO_HOME").envs(set.iter().copied());
    let output = String::from_utf8(ask.output().unwrap().stdout).unwrap();
    output.lines().find_map(|line| line.split_once('@')).unwrap().1.to_owned()
}

#[test]
fn the_folder_is_micro_home_or_in_the_home_of_the_user_and_without_both_it_says_so() {
    assert_eq!(default_path(&[("HOME", "/u"), ("MICRO_HOME", "/m")]), r#"Ok("/m")"#);
    assert_eq!(default_path(&[("HOME", "/u"), ("MICRO_HOME", "")]), r#"Ok("/u/.micro")"#);
    let text = default_path(&[]);
    assert!(text.starts_with("Err((Config") && text.contains("neither MICRO_HOME nor HOME is set"), "{text}");
}

//! Files that survive crashes, and locks that keep others out.

use super::*;

fn scratch() -> (tempfile::TempDir, Utf8PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = Utf8PathBuf::from_path_buf(folder.path().to_owned()).expect("UTF-8");
    (folder, path)
}

fn names(folder: &Utf8Path) -> Vec<String> {
    let entries = folder.read_dir_utf8().expect("readable").flatten();
    entries.map(|entry| entry.file_name().to_owned()).collect()
}

#[test]
fn what_a_crash_has_left_is_used_up_by_the_next_write() {
    let (_scratch, folder) = scratch();
    std::fs::write(folder.join(".new-file"), "half of something longer").expect("written");
    write(&folder.join("file"), b"whole").expect("written");
    assert_eq!(names(&folder), ["file"]);
    assert_eq!(
        read_text(&folder.join("file"))
            .expect("readable")
            .as_deref(),
        Some("whole")
    );
}

#[test]
fn a_folder_that_is_gone_is_not_brought_back() {
    let (_scratch, folder) = scratch();
    let gone = folder.join("gone");
    write(&gone.join("file"), b"text").expect_err("there is no folder");
    FileLock::try_take(&gone.join("lock")).expect_err("there is no folder");
    append_line(&gone.join("lines"), "line").expect_err("there is no folder");
    assert!(!gone.exists());
}

#[test]
fn a_file_keeps_the_mode_a_person_gave_it() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    let (_scratch, folder) = scratch();
    let path = folder.join("file");
    write(&path, b"one").expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("set");
    write(&path, b"two").expect("written");
    let mode = path.metadata().expect("there").mode();
    assert_eq!(mode & 0o777, 0o640);
}

/// Nobody is led to write elsewhere by a link in a folder that came with a clone.
#[test]
fn a_link_in_place_of_the_temporary_file_is_refused() {
    let (_scratch, folder) = scratch();
    let elsewhere = folder.join("elsewhere");
    std::fs::write(&elsewhere, "precious").expect("written");
    std::os::unix::fs::symlink(&elsewhere, folder.join(".new-file")).expect("linked");
    let error = write(&folder.join("file"), b"text").expect_err("refused");
    assert!(matches!(error, FileError::Write { .. }), "{error}");
    let kept = std::fs::read_to_string(&elsewhere).expect("readable");
    assert_eq!(kept, "precious");
}

#[test]
fn writers_of_one_file_leave_one_whole_text_and_nothing_else() {
    let (_scratch, folder) = scratch();
    let path = folder.join("file");
    let texts: Vec<String> = (1..=4_usize).map(|n| "line\n".repeat(n * 1000)).collect();
    std::thread::scope(|scope| {
        for text in &texts {
            scope.spawn(|| {
                for _ in 0..20 {
                    write(&path, text.as_bytes()).expect("written");
                    let read = read_text(&path).expect("readable").expect("there");
                    assert!(texts.contains(&read), "{} bytes", read.len());
                }
            });
        }
    });
    assert_eq!(names(&folder), ["file"]);
}

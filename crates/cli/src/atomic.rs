//! Atomic writes of files.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Writes `text` to `path`: to a temporary file beside it that then replaces it. A file that is not regular is
/// written directly, and so is an open descriptor like `/dev/stdout`, whatever file is behind it; a
/// symbolic link is not replaced.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(number) = descriptor(path) {
        return opened(&number, path)?.write_all(text.as_bytes());
    }
    let path = behind_links(path);
    if is_special(&path) {
        return fs::OpenOptions::new().write(true).open(&path)?.write_all(text.as_bytes());
    }
    let mut file = beside(&path)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    Ok(())
}

/// Checks that [`write()`] could write there, before work starts that would otherwise be lost.
pub(crate) fn can_write(named: &Path) -> io::Result<()> {
    let path = behind_links(named);
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if is_special(&path) || descriptor(named).is_some() {
        return Ok(());
    }
    beside(&path).map(drop)
}

fn behind_links(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Opens a copy of a descriptor that is already open. Its file is neither replaced nor truncated, and later
/// writers continue after our text: a copy of the descriptor shares the position.
fn opened(number: &str, path: &Path) -> io::Result<File> {
    match number {
        "1" => io::stdout().as_fd().try_clone_to_owned().map(File::from),
        "2" => io::stderr().as_fd().try_clone_to_owned().map(File::from),
        _ => fs::OpenOptions::new().append(true).open(path),
    }
}

/// Returns the number of the descriptor of this process that `path` names, such as `/dev/stdout` or
/// a link to it.
fn descriptor(path: &Path) -> Option<String> {
    const LINKS: usize = 8;
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        let folder =
            path.parent().and_then(|folder| folder.canonicalize().ok()).unwrap_or_default();
        if folder.starts_with("/proc") && folder.ends_with("fd") {
            return path.file_name().map(|name| name.to_string_lossy().into_owned());
        }
        path = folder.join(fs::read_link(&path).ok()?);
    }
    None
}

fn is_special(path: &Path) -> bool {
    path.metadata().is_ok_and(|data| !data.is_file())
}

fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Gives the plain reason: the error of the temporary file would name a file that the user does not know.
    folder.metadata()?;
    // Makes it as readable as any new file: the umask decides.
    let mode = Permissions::from_mode(0o666);
    tempfile::Builder::new().prefix(".lamprey-").permissions(mode).tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("report");
        write(&path, "one").expect("written");
        write(&path, "two").expect("written");
        assert_eq!(fs::read_to_string(&path).expect("there"), "two");
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 1);
    }

    #[test]
    fn a_device_stays_a_device_and_a_link_a_link() {
        write(Path::new("/dev/null"), "gone").expect("written");
        assert!(is_special(Path::new("/dev/null")));

        let folder = tempfile::tempdir().expect("a folder");
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        write(&file, "one").expect("written");
        std::os::unix::fs::symlink(&file, &link).expect("linked");
        write(&link, "two").expect("written");
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&file).expect("there"), "two");
    }

    #[test]
    fn a_name_for_a_descriptor_is_known() {
        for (path, number) in [
            ("/dev/stdout", "1"),
            ("/dev/stderr", "2"),
            ("/dev/fd/1", "1"),
            ("/proc/self/fd/7", "7"),
        ] {
            assert_eq!(descriptor(Path::new(path)).as_deref(), Some(number), "{path}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let (file, link) = (folder.path().join("fd"), folder.path().join("link"));
        write(&file, "one").expect("written");
        std::os::unix::fs::symlink("/dev/stdout", &link).expect("linked");
        assert_eq!(descriptor(&link).as_deref(), Some("1"));
        for path in [&*file, Path::new("/dev/null"), Path::new("report")] {
            assert_eq!(descriptor(path), None, "{}", path.display());
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_told_beforehand() {
        assert!(can_write(Path::new("/no/such/folder/report")).is_err());
        assert!(can_write(Path::new("/tmp")).is_err());
        assert!(can_write(Path::new("/dev/null")).is_ok());
    }
}

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::Error;

/// A PostgreSQL server's programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    /// The folder of `postgres` and `initdb`.
    pub folder: PathBuf,
    /// The major version, e.g. 17.
    pub major: u32,
    /// The minor version.
    pub minor: u32,
}

impl Binaries {
    pub(crate) fn initdb(&self) -> PathBuf {
        self.folder.join("initdb")
    }

    pub(crate) fn postgres(&self) -> PathBuf {
        self.folder.join("postgres")
    }

    /// The programs in a folder, or the name of the one that is missing or does not run.
    fn in_folder(folder: &Path) -> Result<Self, &'static str> {
        if !folder.join("initdb").is_file() {
            return Err("initdb");
        }
        let output =
            Command::new(folder.join("postgres")).arg("--version").output().map_err(|_| "postgres")?;
        let (major, minor) = version(&String::from_utf8_lossy(&output.stdout)).ok_or("postgres")?;
        Ok(Self { folder: folder.to_owned(), major, minor })
    }
}

/// Where to look for the server: the process's environment by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lookup {
    /// `PG_BINDIR`: when set, this folder and no other.
    pub bindir: Option<PathBuf>,
    pub path: Option<OsString>,
    /// Folders that hold one folder for each version, which has a `bin`.
    pub version_folders: Vec<PathBuf>,
}

impl Lookup {
    /// `PG_BINDIR`; else `pg_config`, Debian's and Homebrew's version folders, and `PATH`.
    #[must_use]
    pub fn from_environment() -> Self {
        Self {
            bindir: std::env::var_os("PG_BINDIR").filter(|value| !value.is_empty()).map(PathBuf::from),
            path: std::env::var_os("PATH"),
            version_folders: [
                "/usr/lib/postgresql",
                "/usr/local/opt",
                "/opt/homebrew/opt",
                "/usr/local/pgsql",
            ]
            .map(PathBuf::from)
            .to_vec(),
        }
    }

    /// All servers there are, the newest first; never an empty list.
    ///
    /// # Errors
    /// There is none, or `PG_BINDIR` names a folder without one.
    pub fn find_all(&self) -> Result<Vec<Binaries>, Error> {
        if let Some(folder) = &self.bindir {
            let binaries = Binaries::in_folder(folder)
                .map_err(|missing| Error::WrongBindir { folder: folder.clone(), missing })?;
            return Ok(vec![binaries]);
        }
        let mut folders: Vec<PathBuf> =
            self.candidates().into_iter().filter_map(|folder| real_folder(&folder)).collect();
        folders.sort();
        folders.dedup();
        let mut found: Vec<Binaries> =
            folders.iter().filter_map(|folder| Binaries::in_folder(folder).ok()).collect();
        found.sort_by_key(|binaries| std::cmp::Reverse((binaries.major, binaries.minor)));
        if found.is_empty() {
            return Err(Error::NoBinaries {
                searched: "PG_BINDIR, pg_config, /usr/lib/postgresql/*/bin and PATH were searched".into(),
            });
        }
        Ok(found)
    }

    fn candidates(&self) -> Vec<PathBuf> {
        let on_path: Vec<PathBuf> = self.path.iter().flat_map(std::env::split_paths).collect();
        let mut folders = Vec::new();
        if let Some(pg_config) = on_path.iter().map(|dir| dir.join("pg_config")).find(|file| file.is_file())
            && let Ok(output) = Command::new(pg_config).arg("--bindir").output()
        {
            folders.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
        }
        for parent in &self.version_folders {
            let versions = fs::read_dir(parent).into_iter().flatten().flatten();
            folders.extend(versions.map(|version| version.path().join("bin")));
        }
        folders.extend(on_path);
        folders
    }
}

/// The newest PostgreSQL server of this machine.
///
/// # Errors
/// There is none, or `PG_BINDIR` names a folder without one.
pub fn find_binaries() -> Result<Binaries, Error> {
    // `find_all` never answers with an empty list; were it ever to, that is "none found" as well.
    Lookup::from_environment()
        .find_all()?
        .into_iter()
        .next()
        .ok_or_else(|| Error::NoBinaries { searched: "nothing to search".into() })
}

/// The folder that really holds `postgres`: a link in `PATH` leads to it, and initdb wants to find
/// its companions beside it.
fn real_folder(folder: &Path) -> Option<PathBuf> {
    let postgres = fs::canonicalize(folder.join("postgres")).ok()?;
    let real = postgres.parent()?.to_owned();
    if real.join("initdb").is_file() { Some(real) } else { Some(folder.to_owned()) }
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, also `17beta1`, `16devel`.
fn version(text: &str) -> Option<(u32, u32)> {
    let number = text.strip_prefix("postgres (PostgreSQL) ")?.split_whitespace().next()?;
    let mut parts = number.split('.');
    let major: String = parts.next()?.chars().take_while(char::is_ascii_digit).collect();
    let minor = parts.next().and_then(|minor| minor.parse().ok()).unwrap_or(0);
    Some((major.parse().ok()?, minor))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn fake_server(folder: &Path, version: &str) {
        fs::create_dir_all(folder).unwrap();
        for name in ["postgres", "initdb"] {
            let file = folder.join(name);
            fs::write(&file, format!("#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    #[test]
    fn versions_are_read_from_releases_and_betas() {
        assert_eq!(version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some((15, 18)));
        assert_eq!(version("postgres (PostgreSQL) 17beta1"), Some((17, 0)));
        assert_eq!(version("psql (PostgreSQL) 15.18"), None);
    }

    #[test]
    fn the_newest_server_comes_first_and_a_link_in_path_counts_once() {
        let top = tempfile::tempdir().unwrap();
        let versions = top.path().join("versions");
        fake_server(&versions.join("9/bin"), "9.6");
        fake_server(&versions.join("16/bin"), "16.2");
        fake_server(&versions.join("14/bin"), "14.1");
        let links = top.path().join("links");
        fs::create_dir(&links).unwrap();
        std::os::unix::fs::symlink(versions.join("14/bin/postgres"), links.join("postgres")).unwrap();
        let lookup = Lookup { bindir: None, path: Some(links.into()), version_folders: vec![versions] };
        let majors: Vec<u32> = lookup.find_all().unwrap().iter().map(|binaries| binaries.major).collect();
        assert_eq!(majors, [16, 14, 9]);
    }

    #[test]
    fn a_pg_bindir_without_a_server_is_an_error_that_names_it() {
        let top = tempfile::tempdir().unwrap();
        let versions = top.path().join("versions");
        fake_server(&versions.join("16/bin"), "16.2");
        let empty = top.path().join("empty");
        fs::create_dir(&empty).unwrap();
        let lookup = Lookup { bindir: Some(empty.clone()), path: None, version_folders: vec![versions] };
        let error = lookup.find_all().unwrap_err().to_string();
        assert!(error.contains("PG_BINDIR") && error.contains(empty.to_str().unwrap()), "{error}");
    }

    #[test]
    fn no_server_is_one_line_that_says_what_to_install() {
        let error = Lookup::default().find_all().unwrap_err().to_string();
        assert!(error.contains("apt-get install postgresql") && error.contains("--database-url"), "{error}");
        assert!(!error.contains('\n'));
    }
}

//! The user that the server runs as.

use std::{
    fs, io,
    os::unix::{
        fs::{MetadataExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::Command,
};

use crate::Error;

/// The user that initdb and postgres run as, when it is not the process's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Account {
    /// `None` when the process's own user will do: everybody's but root's.
    pub(crate) fn for_server() -> Result<Option<Self>, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let passwd = fs::read_to_string("/etc/passwd")
            .map_err(|error| Error::file("cannot read", "/etc/passwd", error))?;
        Self::choose(&passwd).map(Some).ok_or(Error::NoAccount)
    }

    fn choose(passwd: &str) -> Option<Self> {
        ["postgres", "nobody"].into_iter().find_map(|name| {
            passwd.lines().find_map(|line| {
                let fields: Vec<&str> = line.split(':').collect();
                let (uid, gid) = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
                (fields[0] == name && uid != 0).then(|| Self { name: name.to_owned(), uid, gid })
            })
        })
    }

    /// Whether it may enter `folder` itself, by owner, group and mode.
    fn may_enter(&self, folder: &Path) -> io::Result<bool> {
        let metadata = fs::metadata(folder)?;
        let bit = if metadata.uid() == self.uid {
            0o100
        } else if metadata.gid() == self.gid {
            0o010
        } else {
            0o001
        };
        Ok(metadata.mode() & bit != 0)
    }
}

pub(crate) fn run_as(command: &mut Command, account: Option<&Account>) {
    if let Some(account) = account {
        // std drops the supplementary groups with the uid.
        command.uid(account.uid).gid(account.gid);
    }
}

/// Gives a file or folder to the account.
pub(crate) fn give(path: &Path, account: Option<&Account>) -> Result<(), Error> {
    match account {
        Some(account) => chown(path, Some(account.uid), Some(account.gid))
            .map_err(|error| Error::file("cannot give to the server's user:", path, error)),
        None => Ok(()),
    }
}

/// Checks that the account can get into `folder`, an absolute path.
pub(crate) fn check_reachable(folder: &Path, account: Option<&Account>) -> Result<(), Error> {
    let Some(account) = account else { return Ok(()) };
    let way: Vec<PathBuf> = folder.ancestors().map(Path::to_owned).collect();
    for step in way.iter().rev() {
        if !account.may_enter(step).map_err(|error| Error::file("cannot look at", step, error))? {
            return Err(Error::NotReachable { blocked: step.clone(), user: account.name.clone() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_postgres_is_preferred_to_nobody_and_root_is_never_taken() {
        let passwd =
            "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65533::/:/bin/false\npostgres:x:101:104::/:/bin/sh";
        let account =
            |text: &str| Account::choose(text).map(|account| (account.name, account.uid, account.gid));
        assert_eq!(account(passwd), Some(("postgres".into(), 101, 104)));
        assert_eq!(account(&passwd.replace("postgres", "other")), Some(("nobody".into(), 65534, 65533)));
        assert_eq!(account("root:x:0:0::/root:/bin/sh\npostgres:x:0:0::/:/bin/sh"), None);
    }

    #[test]
    fn the_folder_that_blocks_the_way_is_named() {
        use std::os::unix::fs::PermissionsExt as _;
        let top = tempfile::tempdir().unwrap();
        let inner = top.path().join("inner");
        fs::create_dir(&inner).unwrap();
        // Nobody's uid and gid, so that the mode for others counts.
        let account = Account { name: "stranger".into(), uid: 4_000_000, gid: 4_000_000 };
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let error = check_reachable(&inner, Some(&account)).unwrap_err();
        assert!(matches!(&error, Error::NotReachable { blocked, .. } if blocked == top.path()), "{error}");
        assert!(error.to_string().contains("`stranger`"), "{error}");
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o711)).unwrap();
        assert!(check_reachable(&inner, Some(&account)).is_ok());
    }
}

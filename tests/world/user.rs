//! A user of this machine, for as long as a world lasts.

use std::path::Path;
use std::process::Command;

/// Removed when it is dropped.
pub struct User(&'static str);

impl User {
    /// Adds a user with this home, which is made his.
    pub fn add(name: &'static str, home: &Path) -> Self {
        let _ = Command::new("userdel").arg(name).output();
        let mut command = Command::new("useradd");
        let added =
            command.args(["--system", "--no-create-home", "--home-dir"]).arg(home).arg(name).output().expect("useradd");
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
        let user = Self(name);
        assert!(Command::new("chown").args(["-R", name]).arg(home).status().expect("chown").success());
        user
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = Command::new("userdel").arg(self.0).output();
    }
}

//! Which files packages own: dpkg's `info/PACKAGE.list` (`dpkg-query(1)`) and apk's `installed` (apk-tools `apk-installed(5)`, version 2 text).

/// Calls `each` with every path of a dpkg list.
pub fn dpkg(list: &[u8], mut each: impl FnMut(&str)) {
    let lines = list.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    lines.filter(|line| line.starts_with('/')).for_each(&mut each);
}

/// Calls `each` with every path of apk's database and the package that owns it.
pub fn apk(database: &[u8], mut each: impl FnMut(&str, &str)) {
    let (mut package, mut directory) = (String::new(), String::new());
    for line in database.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok()) {
        match line.split_once(':') {
            Some(("P", name)) => (package, directory) = (name.to_owned(), String::new()),
            Some(("F", name)) => name.clone_into(&mut directory),
            Some(("R", name)) if directory.is_empty() => each(&format!("/{name}"), &package),
            Some(("R", name)) => each(&format!("/{directory}/{name}"), &package),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{apk, dpkg};

    #[test]
    fn an_apk_file_lies_in_the_directory_named_last_and_a_package_starts_anew() {
        let mut found = Vec::new();
        apk(b"P:a\nF:usr/bin\nR:x\n\nP:b\nR:top\nF:bin\nR:y\n", |file, package| {
            found.push(format!("{package} {file}"))
        });
        assert_eq!(found, ["a /usr/bin/x", "b /top", "b /bin/y"]);
    }

    #[test]
    fn lines_that_are_no_paths_are_passed_over() {
        let mut found = Vec::new();
        dpkg(b"/bin\nnonsense\n\xff\n/bin/sh\n", |file| found.push(file.to_owned()));
        assert_eq!(found, ["/bin", "/bin/sh"]);
    }
}

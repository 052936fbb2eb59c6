//! What the dynamic loader does between `execve(2)` and the program's first instruction: finds each needed library, and in it each
//! needed symbol version (`ld.so(8)`; glibc `elf/dl-load.c`, `elf/dl-version.c`; musl `ldso/dynlink.c`).
//!
//! Says that a library is missing only where every place that the loader searches was looked at. Symbols are not compared.

mod system;

use system::CACHE;
pub(super) use system::System;

use super::Scene;
use super::start::Start;
use crate::formats::elf::{Dynamic, Elf, ElfError};
use crate::probe::reason;
use crate::snapshot::{Fact, Reason};
use crate::sys::{Kind, LookError};

/// Most libraries of one program.
const LIBRARIES: usize = 512;
/// musl's default (`ldso/dynlink.c`).
const MUSL: &[&str] = &["/lib", "/usr/local/lib", "/usr/lib"];

/// Which loader it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavour {
    Glibc,
    Musl,
    Other,
}

/// The loader of a program.
pub(super) struct Loader {
    pub(super) flavour: Flavour,
    /// Its path without links.
    pub(super) real: String,
}

impl Loader {
    /// What stands at the interpreter's path.
    pub(super) fn at(scene: &Scene<'_>, interpreter: &str) -> Result<Self, LookError> {
        let real = scene.target.root.resolve(interpreter)?;
        let name = real.rsplit('/').next().unwrap_or_default();
        let glibc = || match scene.libraries.read(scene.target.root, interpreter).as_ref() {
            Ok(Elf { dynamic: Some(dynamic), .. }) => {
                dynamic.versions_defined.iter().any(|version| version == "GLIBC_PRIVATE")
            }
            _ => false,
        };
        let flavour = if name.starts_with("ld-musl-") || name == "libc.so" || name.starts_with("libc.musl-") {
            Flavour::Musl
        } else if glibc() {
            Flavour::Glibc
        } else {
            Flavour::Other
        };
        Ok(Self { flavour, real })
    }
}

/// A search for the libraries of one program.
struct Search<'a> {
    scene: &'a Scene<'a>,
    program: &'a Elf,
    /// LD_LIBRARY_PATH, then where the loader searches at last; the object's own paths come around the first.
    environment: Vec<String>,
    system: Vec<String>,
    cache: &'a [(String, String)],
    /// Why a library may lie where we did not look.
    open: Option<Reason>,
    flavour: Flavour,
}

/// One library that is loaded.
struct Loaded {
    name: String,
    path: String,
    object: super::libraries::Read,
    /// Which of the libraries asked for it first; `None` for the program itself.
    needed_by: Option<usize>,
}

/// What became of one name.
enum Found {
    Library(Loaded),
    Nowhere,
    /// Not where we could look, and why it may be there all the same.
    Open(Reason),
}

/// An object that asks for libraries.
#[derive(Clone, Copy)]
struct Asker<'a> {
    path: &'a str,
    dynamic: &'a Dynamic,
}

/// Whether the loader gets through.
pub(super) fn observe(scene: &Scene<'_>, path: &str, program: &Elf, interpreter: &str) -> Start {
    let loader = match Loader::at(scene, interpreter) {
        Ok(loader) => loader,
        Err(error) => return Start::Unsure(reason(error)),
    };
    if loader.real.contains("-stub-ld") {
        return Start::No(format!(
            "its loader {interpreter} is a stub that only says it can't run programs of other distributions"
        ));
    }
    let Some(dynamic) = &program.dynamic else { return Start::Yes };
    if loader.flavour == Flavour::Other {
        return Start::Unsure(Reason::NotEmulated { what: format!("the loader {}", loader.real) });
    }
    Search::new(scene, path, program, &loader).run(path, dynamic, loader.flavour)
}

/// The libc that programs with this loader get.
pub(super) fn libc(scene: &Scene<'_>, path: &str, program: &Elf, loader: &Loader) -> Option<super::libraries::Read> {
    let search = Search::new(scene, path, program, loader);
    let nothing = Dynamic::default();
    let program = Asker { path, dynamic: program.dynamic.as_ref().unwrap_or(&nothing) };
    match search.find("libc.so.6", &[program]) {
        Found::Library(loaded) => Some(loaded.object),
        Found::Nowhere | Found::Open(_) => None,
    }
}

impl<'a> Search<'a> {
    fn new(scene: &'a Scene<'a>, path: &str, program: &'a Elf, loader: &Loader) -> Self {
        let own = directory_of(&loader.real).to_owned();
        let flavour = loader.flavour;
        let (environment, system) = (Vec::new(), vec![own]);
        let mut search = Self { scene, program, environment, system, cache: &[], open: None, flavour };
        search.environment(path);
        if loader.flavour == Flavour::Musl {
            search.musl(&loader.real);
        } else if !loader.real.starts_with("/nix/store/") {
            // glibc in the Nix store searches beside itself and its own, empty, cache.
            search.distribution(&loader.real);
        }
        search
    }

    fn environment(&mut self, path: &str) {
        // A set-id program ignores it; whether the id changes anything is not worked out: then it is not used against it.
        let set_id = self.scene.target.root.look(path).is_ok_and(|seen| seen.mode & 0o6000 != 0);
        match self.scene.target.variable("LD_LIBRARY_PATH") {
            Fact::Present(text) if set_id || text.is_empty() => {}
            Fact::Present(text) => {
                let directories = text.split([':', ';']).map(str::to_owned);
                self.environment.extend(directories);
            }
            Fact::Absent => {}
            Fact::Unobserved(reason) => self.open = Some(reason),
        }
    }

    fn distribution(&mut self, loader: &str) {
        if !["/lib", "/usr/lib"].iter().any(|place| loader.starts_with(place)) {
            self.open = Some(Reason::NotEmulated { what: format!("where the loader {loader} searches") });
        }
        let system = self.scene.system.get_or_init(|| System::of(self.scene.target.root));
        self.system.extend(system.directories.iter().cloned());
        self.cache = &system.cache;
        self.open = self.open.take().or_else(|| system.open.clone());
    }

    fn musl(&mut self, loader: &str) {
        let name = loader.rsplit('/').next().unwrap_or_default();
        let machine = name.strip_prefix("ld-musl-").and_then(|name| name.split('.').next());
        let file = machine.map(|machine| format!("/etc/ld-musl-{machine}.path"));
        let listed = file.map(|file| self.scene.target.root.read(&file, CACHE));
        match listed {
            Some(Ok(text)) => {
                let text = String::from_utf8_lossy(&text).into_owned();
                self.system.extend(text.split([':', '\n']).filter(|place| !place.is_empty()).map(str::to_owned));
            }
            None | Some(Err(LookError::NotFound { .. })) => {
                self.system.extend(MUSL.iter().map(|place| (*place).to_owned()))
            }
            Some(Err(error)) => self.open = Some(reason(error)),
        }
    }

    fn run(&self, path: &str, dynamic: &Dynamic, flavour: Flavour) -> Start {
        let mut loaded: Vec<Loaded> = Vec::new();
        let mut unsure = None;
        let mut next = 0;
        let mut asker = None;
        let (mut who, mut asks) = (path.to_owned(), dynamic.clone());
        loop {
            for name in &asks.needed {
                if known(&loaded, name).is_some() || (flavour == Flavour::Musl && is_musl_itself(name)) {
                    continue;
                }
                let nothing = Dynamic::default();
                match self.find(name, &chain(Asker { path, dynamic }, &loaded, asker, &nothing)) {
                    Found::Library(library) => loaded.push(Loaded { needed_by: asker, ..library }),
                    Found::Open(reason) => unsure = Some(reason),
                    Found::Nowhere if asker.is_none() => {
                        return Start::No(format!("needs {name}, which is not in this root"));
                    }
                    Found::Nowhere => {
                        return Start::No(format!("needs {who}, which needs {name}, which is not in this root"));
                    }
                }
                if loaded.len() > LIBRARIES {
                    return Start::Unsure(Reason::Truncated {
                        at: LIBRARIES as u64,
                        what: format!("the libraries of {path}"),
                    });
                }
            }
            if flavour == Flavour::Glibc
                && let Some(obstacle) = version_gap(&asks, &loaded)
            {
                return Start::No(if who == path { obstacle } else { format!("needs {who}, which {obstacle}") });
            }
            let Some(library) = loaded.get(next) else { break };
            asker = Some(next);
            next += 1;
            who = library.path.clone();
            match library.object.as_ref() {
                Ok(elf) => asks = elf.dynamic.clone().unwrap_or_default(),
                Err(_) => asks = Dynamic::default(),
            }
        }
        unsure.map_or(Start::Yes, Start::Unsure)
    }

    /// The first file of that name that is of the program's machine. `chain` is who asks, who asked for that, and so on to the program.
    fn find(&self, name: &str, chain: &[Asker<'_>]) -> Found {
        let mut open = self.open.clone();
        let asker = chain.first().map_or("/", |asker| asker.path);
        let places = if name.contains('/') {
            vec![expand(name, asker)]
        } else {
            let own = self.own(chain);
            let relative = own.iter().chain(&self.environment).find(|path| is_relative(path));
            open =
                open.or_else(|| relative.map(|path| Reason::NotEmulated { what: format!("the library path {path}") }));
            let cached = self.cache.iter().filter(|(key, _)| key == name).map(|(_, path)| path.clone());
            let beneath = |place: &String| format!("{place}/{name}");
            let own = own.iter().filter(|path| path.starts_with('/')).map(beneath);
            own.chain(cached).chain(self.system.iter().map(beneath)).collect()
        };
        for place in places {
            match self.library(name, place) {
                Found::Library(library) => return Found::Library(library),
                Found::Nowhere => {}
                Found::Open(reason) => open = open.or(Some(reason)),
            }
        }
        open.map_or(Found::Nowhere, Found::Open)
    }

    /// Where the objects themselves and the environment say to search, in order. glibc (`elf/dl-load.c`, `_dl_map_object`) takes the RPATH of
    /// each object of the chain that has no RUNPATH, and none of them where the asking one has a RUNPATH; then the environment; then
    /// the asking one's RUNPATH. musl (`ldso/dynlink.c`, `load_library`) takes the environment, and then RUNPATH, else RPATH, of the whole chain.
    fn own(&self, chain: &[Asker<'_>]) -> Vec<String> {
        let split = |paths: &Option<String>, who: &str| -> Vec<String> {
            let paths = paths.as_deref().unwrap_or_default().split(':').filter(|path| !path.is_empty());
            paths.map(|path| expand(path, who)).collect()
        };
        let mut places = Vec::new();
        if self.flavour == Flavour::Musl {
            places.extend(self.environment.iter().cloned());
            for asker in chain {
                let paths = asker.dynamic.runpath.as_ref().or(asker.dynamic.rpath.as_ref()).cloned();
                places.extend(split(&paths, asker.path));
            }
            return places;
        }
        let Some(first) = chain.first() else { return self.environment.clone() };
        if first.dynamic.runpath.is_none() {
            for asker in chain.iter().filter(|asker| asker.dynamic.runpath.is_none()) {
                places.extend(split(&asker.dynamic.rpath, asker.path));
            }
        }
        places.extend(self.environment.iter().cloned());
        places.extend(split(&first.dynamic.runpath, first.path));
        places
    }

    fn library(&self, name: &str, path: String) -> Found {
        let root = self.scene.target.root;
        match root.look(&path) {
            Ok(seen) if seen.kind == Kind::File => {}
            Ok(_) | Err(LookError::NotFound { .. }) => return Found::Nowhere,
            // The loader runs as this identity, and gets no further.
            Err(LookError::Refused { errno, .. }) if errno == "EACCES" && self.scene.target.incomplete.is_empty() => {
                return Found::Nowhere;
            }
            Err(error) => return Found::Open(reason(error)),
        }
        let object = self.scene.libraries.read(root, &path);
        let fits = match object.as_ref() {
            Ok(elf) => elf.class == self.program.class && elf.machine == self.program.machine,
            // It is there; that we can't read it does not make it missing.
            Err(ElfError::Read(_) | ElfError::Dynamic(_)) => true,
            Err(ElfError::NotElf | ElfError::Refused(_)) => false,
        };
        if fits {
            Found::Library(Loaded { name: name.to_owned(), path, object, needed_by: None })
        } else {
            Found::Nowhere
        }
    }
}

/// Who asks, by its place among the loaded, who asked for that, and so on to the program.
fn chain<'a>(
    program: Asker<'a>,
    loaded: &'a [Loaded],
    mut asker: Option<usize>,
    nothing: &'a Dynamic,
) -> Vec<Asker<'a>> {
    let mut chain = Vec::new();
    while let Some(library) = asker.and_then(|at| loaded.get(at)) {
        let elf = library.object.as_ref().as_ref().ok();
        let dynamic = elf.and_then(|elf| elf.dynamic.as_ref()).unwrap_or(nothing);
        chain.push(Asker { path: &library.path, dynamic });
        asker = library.needed_by;
    }
    chain.push(program);
    chain
}

/// `$ORIGIN` is the directory of the object that names it.
fn expand(path: &str, who: &str) -> String {
    let origin = directory_of(who);
    path.replace("${ORIGIN}", origin).replace("$ORIGIN", origin)
}

fn directory_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("/", |(directory, _)| if directory.is_empty() { "/" } else { directory })
}

/// Whether a library path leads somewhere that depends on the working directory or on the loader's own variables.
fn is_relative(path: &str) -> bool {
    let plain = path.replace("${ORIGIN}", "").replace("$ORIGIN", "");
    plain.contains('$') || !(path.starts_with('/') || path.starts_with('$'))
}

/// musl answers for these names itself (`load_library`).
fn is_musl_itself(name: &str) -> bool {
    name.strip_prefix("lib").is_some_and(|rest| {
        ["c", "pthread", "rt", "m", "dl", "util", "xnet"]
            .iter()
            .any(|own| rest.strip_prefix(own).is_some_and(|rest| rest.starts_with('.')))
    })
}

fn known<'a>(loaded: &'a [Loaded], name: &str) -> Option<&'a Loaded> {
    loaded.iter().find(|library| {
        let soname = library.object.as_ref().as_ref().ok().and_then(|elf| elf.dynamic.as_ref()?.soname.as_deref());
        library.name == name || soname == Some(name)
    })
}

/// A version that is needed and not defined. A library that defines no versions at all only makes the loader warn.
fn version_gap(asks: &Dynamic, loaded: &[Loaded]) -> Option<String> {
    asks.versions_needed.iter().find_map(|(library, version)| {
        let found = known(loaded, library)?;
        let defined = &found.object.as_ref().as_ref().ok()?.dynamic.as_ref()?.versions_defined;
        let missing = !defined.is_empty() && !defined.contains(version);
        missing.then(|| {
            let family = version.split('_').next().unwrap_or_default();
            match newest(defined, family) {
                Some(newest) => format!("needs {version} of {library}, and {} has up to {newest}", found.path),
                None => format!("needs {version} of {library}, and {} has no such version", found.path),
            }
        })
    })
}

/// The newest of versions such as `GLIBC_2.38`, by number.
pub(super) fn newest<'a>(versions: &'a [String], family: &str) -> Option<&'a str> {
    let number = |version: &str| -> Option<Vec<u32>> {
        let digits = version.strip_prefix(family)?.strip_prefix('_')?;
        digits.split('.').map(|part| part.parse().ok()).collect()
    };
    let numbered = versions.iter().filter_map(|version| Some((number(version)?, version.as_str())));
    numbered.max_by(|one, two| one.0.cmp(&two.0)).map(|(_, version)| version)
}

#[cfg(test)]
mod tests;

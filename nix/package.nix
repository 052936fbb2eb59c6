# One static executable. It needs a Rust of the edition and version that Cargo.toml names.
{ lib, stdenv, glibc, rustPlatform }:
rustPlatform.buildRustPackage {
  pname = "parallax";
  version = (builtins.fromTOML (builtins.readFile ../Cargo.toml)).package.version;
  src = lib.cleanSourceWith {
    src = ../.;
    filter = path: _type: !(builtins.elem (baseNameOf path) [ "target" ".cache" ".git" ".ci" "result" ]);
  };
  # .cargo/config.toml links the C library in.
  buildInputs = lib.optional stdenv.hostPlatform.isGnu glibc.static;
  cargoLock.lockFile = ../Cargo.lock;
  # The tests take a container engine, a Nix daemon and root; .ci/run runs them.
  doCheck = false;
  meta = {
    description = "Looks at one host from every execution context on it and reports where the views disagree";
    license = with lib.licenses; [ mit asl20 ];
    platforms = lib.platforms.linux;
    mainProgram = "parallax";
  };
}

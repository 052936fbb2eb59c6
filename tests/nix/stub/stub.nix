# A stub of the few functions of nixpkgs that nix/ uses. There is no nixpkgs where the tests run: types are not checked against it, options are
# not merged by its module system, and nothing is built. It shows that the files evaluate, and what they say.
rec {
  lib = {
    mkEnableOption = description: { inherit description; default = false; };
    mkOption = option: option;
    mkIf = condition: value: if condition then value else { };
    optional = condition: value: if condition then [ value ] else [ ];
    concatStringsSep = builtins.concatStringsSep;
    getExe = package: "${package}/bin/${package.name}";
    makeBinPath = packages: builtins.concatStringsSep ":" (map (package: "${package}/bin") packages);
    genAttrs = names: make: builtins.listToAttrs (map (name: { inherit name; value = make name; }) names);
    cleanSourceWith = { src, filter }: builtins.seq (filter "/x/target" "directory") src;
    licenses = { mit = "MIT"; asl20 = "Apache-2.0"; };
    platforms.linux = [ "x86_64-linux" "aarch64-linux" ];
    types = { package = "package"; str = "string"; listOf = type: "list of ${type}"; };
  };

  pkgs = {
    inherit lib;
    callPackage = file: arguments: import file ({ inherit lib; stdenv.hostPlatform.isGnu = true; glibc.static = "glibc"; rustPlatform.buildRustPackage = derivation; } // arguments);
    writeText = builtins.toFile;
    pkgsStatic.bash = program "bash-static";
    bash = program "bash";
    coreutils = program "coreutils";
    curl = program "curl";
    git = program "git";
    formats.toml = _: { type = "TOML"; generate = name: value: builtins.toFile name (builtins.toJSON value); };
  };

  program = name: { inherit name; outPath = "/nix/store/stub-${name}"; };

  # What nixpkgs makes of a package, as far as `nix flake show` wants to see it.
  derivation = package: builtins.derivation {
    name = "${package.pname}-${package.version}";
    system = "x86_64-linux";
    builder = "/stub";
  };
}

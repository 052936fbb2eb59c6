{
  description = "Looks at one host from every execution context on it and reports where the views disagree";

  # Needs a nixpkgs whose Rust is at least the rust-version of Cargo.toml.
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" ];
      each = make: nixpkgs.lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
    in
    {
      packages = each (pkgs: rec {
        parallax = pkgs.callPackage ./nix/package.nix { };
        default = parallax;
      });

      nixosModules = rec {
        parallax = import ./nix/module.nix;
        default = parallax;
      };
    };
}

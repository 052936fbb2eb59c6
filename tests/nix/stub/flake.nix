# Stands where flake.nix has nixpkgs.
{
  outputs = _: let stub = import ./stub.nix; in {
    inherit (stub) lib;
    legacyPackages.x86_64-linux = stub.pkgs;
    legacyPackages.aarch64-linux = stub.pkgs;
  };
}

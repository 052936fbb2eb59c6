# Evaluates nix/module.nix and the runners of docs/templates/nixos with the stub, and returns what they configure.
let
  stub = import ./stub/stub.nix;
  evaluated = import ../../nix/module.nix { inherit (stub) lib pkgs; inherit config; };
  config = {
    services.parallax = {
      enable = true;
      package = "/package";
      settings.serve.disclose = "verdict";
      publish = { enable = true; interval = evaluated.options.services.parallax.publish.interval.default; };
    };
    inherit (evaluated.config) environment;
  };
in
{
  inherit (evaluated.config) systemd;
  settings = builtins.readFile evaluated.config.environment.etc."parallax/parallax.toml".source;
  volumes = evaluated.options.services.parallax.runnerVolumes.default;
  runners = builtins.mapAttrs (_: file: (import file {
    inherit (stub) lib pkgs;
    config = {
      services.parallax.runnerVolumes = evaluated.options.services.parallax.runnerVolumes.default;
      nix.package = stub.program "nix";
      nix.settings = { substituters = [ "https://cache.nixos.org" ]; trusted-public-keys = [ "key" ]; };
    };
  }).services.gitlab-runner) {
    host-daemon = ../../docs/templates/nixos/runner-host-daemon.nix;
    plain = ../../docs/templates/nixos/runner-plain.nix;
    sandbox = ../../docs/templates/nixos/runner-sandbox.nix;
  };
  disabled = (import ../../nix/module.nix {
    inherit (stub) lib pkgs;
    config.services.parallax.enable = false;
  }).config;
}

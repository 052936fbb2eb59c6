# Evaluates nix/module.nix with the stub, and returns what it configures.
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
  disabled = (import ../../nix/module.nix {
    inherit (stub) lib pkgs;
    config.services.parallax.enable = false;
  }).config;
}

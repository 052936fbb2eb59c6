# NixOS: jobs build with the host's Nix daemon. The same as docs/templates/runner/host-daemon.toml.
{ config, lib, pkgs, ... }:
{
  services.parallax.enable = true;
  virtualisation.docker.enable = true;

  services.gitlab-runner = {
    enable = true;
    settings.concurrent = 3;
    services.nix-host-daemon = {
      authenticationTokenConfigFile = "/run/secrets/gitlab-runner-host-daemon";
      dockerImage = "registry.example.com/ci/shell:1";
      dockerDisableCache = true;
      dockerVolumes = config.services.parallax.runnerVolumes ++ [
        "/nix/store:/nix/store:ro"
        "/nix/var/nix/daemon-socket:/nix/var/nix/daemon-socket:ro"
        "/nix/var/nix/profiles:/nix/var/nix/profiles:ro"
      ];
      environmentVariables = {
        NIX_REMOTE = "daemon";
        # The programs stand in the store that is mounted, and are those of the daemon's own system.
        PATH = "${lib.makeBinPath [ config.nix.package pkgs.bash pkgs.coreutils pkgs.curl pkgs.git ]}:/usr/local/bin:/usr/bin:/bin";
      };
      registrationFlags = [ "--docker-pull-policy=if-not-present" ];
    };
  };
}

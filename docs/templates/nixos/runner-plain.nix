# NixOS: jobs use the Nix of their own image, without a sandbox. The same as docs/templates/runner/plain.toml.
{ config, lib, pkgs, ... }:
{
  services.parallax.enable = true;
  virtualisation.docker.enable = true;

  services.gitlab-runner = {
    enable = true;
    settings.concurrent = 4;
    services.nix-plain = {
      authenticationTokenConfigFile = "/run/secrets/gitlab-runner-plain";
      dockerImage = "nixpkgs/nix-flakes:nixos-25.11-x86_64-linux";
      dockerVolumes = config.services.parallax.runnerVolumes ++ [
        "${lib.getExe pkgs.pkgsStatic.bash}:/usr/bin/bash:ro"
      ];
      registrationFlags = [ "--docker-pull-policy=if-not-present" ];
    };
  };
}

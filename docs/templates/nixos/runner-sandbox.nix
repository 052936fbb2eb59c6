# NixOS: jobs use the Nix of their own image, with its sandbox. The same as docs/templates/runner/sandbox.toml.
{ config, lib, pkgs, ... }:
let
  words = lib.concatStringsSep " ";
  # The substituters and keys of the host, so that a job's Nix trusts what the host's does.
  configuration = pkgs.writeText "nix.conf" ''
    experimental-features = nix-command flakes
    sandbox = true
    substituters = ${words config.nix.settings.substituters}
    trusted-public-keys = ${words config.nix.settings.trusted-public-keys}
  '';
in
{
  services.parallax.enable = true;
  virtualisation.docker.enable = true;

  services.gitlab-runner = {
    enable = true;
    settings.concurrent = 4;
    services.nix-sandbox = {
      authenticationTokenConfigFile = "/run/secrets/gitlab-runner-sandbox";
      dockerImage = "nixpkgs/nix-flakes:nixos-25.11-x86_64-linux";
      dockerPrivileged = true;
      dockerVolumes = config.services.parallax.runnerVolumes ++ [
        "${lib.getExe pkgs.pkgsStatic.bash}:/usr/bin/bash:ro"
        "${configuration}:/etc/nix/nix.conf:ro"
      ];
      registrationFlags = [ "--docker-pull-policy=if-not-present" ];
    };
  };
}

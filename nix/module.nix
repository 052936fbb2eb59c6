# NixOS: the server that jobs ask, and the views for jobs that get files only.
#
#   services.parallax.enable = true;
#   services.gitlab-runner.services.NAME.dockerVolumes = config.services.parallax.runnerVolumes ++ [ ... ];
#
# The units say the same as docs/templates/systemd; a test holds the two to each other.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkEnableOption mkIf mkOption types;
  cfg = config.services.parallax;
  toml = pkgs.formats.toml { };
  directory = "/run/parallax";

  # What parallax never does. What is not here is missing for a reason, which docs/templates/systemd/parallax.service gives.
  sandbox = {
    NoNewPrivileges = true;
    LockPersonality = true;
    MemoryDenyWriteExecute = true;
    RestrictRealtime = true;
    RestrictAddressFamilies = "AF_UNIX AF_INET AF_INET6 AF_NETLINK";
    SystemCallArchitectures = "native";
    SystemCallFilter = "~@reboot @swap @module @cpu-emulation @obsolete @raw-io @clock";
    SystemCallErrorNumber = "EPERM";
    DevicePolicy = "closed";
    KeyringMode = "private";
    UMask = "0022";
  };
in
{
  options.services.parallax = {
    enable = mkEnableOption "parallax, which tells a CI job where its view and the host's disagree";

    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = "the package beside this module";
      description = "The parallax to run. Its executable is laid beside the socket, for jobs whose image has no curl.";
    };

    settings = mkOption {
      type = toml.type;
      default = { };
      example = {
        users = [ "deploy" ];
        require = [ "service:nix-daemon" ];
        serve.disclose = "verdict";
      };
      description = "Written to /etc/parallax/parallax.toml, as docs/getting-started.md describes it.";
    };

    publish = {
      enable = mkEnableOption "views in files below ${directory}/snapshots, for `parallax check` without the socket";
      interval = mkOption {
        type = types.str;
        default = "15min";
        description = "How often they are renewed (systemd.time(7)). `check` refuses views that are older than an hour.";
      };
    };

    runnerVolumes = mkOption {
      type = types.listOf types.str;
      readOnly = true;
      default = [ "${directory}:${directory}:ro" ];
      description = "What a runner mounts into its jobs.";
    };
  };

  config = mkIf cfg.enable {
    environment.systemPackages = [ cfg.package ];
    environment.etc."parallax/parallax.toml".source = toml.generate "parallax.toml" cfg.settings;

    systemd.sockets.parallax = {
      description = "Where jobs ask parallax about this host";
      wantedBy = [ "sockets.target" ];
      socketConfig = {
        ListenStream = "${directory}/parallax.sock";
        SocketMode = "0666";
        DirectoryMode = "0755";
      };
    };

    systemd.services.parallax = {
      description = "Give this host's verdicts to its jobs";
      requires = [ "parallax.socket" ];
      after = [ "parallax.socket" ];
      restartTriggers = [ config.environment.etc."parallax/parallax.toml".source ];
      serviceConfig = sandbox // {
        Type = "notify";
        ExecStart = "${cfg.package}/bin/parallax serve";
        Restart = "on-failure";
        OOMScoreAdjust = 500;
        MemoryMax = "1G";
        TasksMax = 1024;
        LimitNOFILE = 65536;
      };
    };

    systemd.services.parallax-publish = mkIf cfg.publish.enable {
      description = "Publish what host, users and services see";
      serviceConfig = sandbox // {
        Type = "oneshot";
        ExecStart = "${cfg.package}/bin/parallax doctor --publish ${directory}/snapshots";
        SuccessExitStatus = "1 3 4";
        TimeoutStartSec = "2min";
      };
    };

    systemd.timers.parallax-publish = mkIf cfg.publish.enable {
      description = "Renew the published views before they are an hour old";
      wantedBy = [ "timers.target" ];
      timerConfig = {
        OnBootSec = "1min";
        OnUnitActiveSec = cfg.publish.interval;
      };
    };
  };
}

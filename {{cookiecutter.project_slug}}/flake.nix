# The service as a package and as an image, and a development shell. See docs/nix.md.
{
  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
    pyproject-nix = {
      url = "github:pyproject-nix/pyproject.nix";
      inputs.nixpkgs.follows = "nixpkgs";
    };
  };

  outputs =
    {
      nixpkgs,
      pyproject-nix,
      ...
    }:
    let
      inherit (nixpkgs) lib;

      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "aarch64-darwin"
      ];
      kinds = [
        "packages"
        "apps"
        "devShells"
        "checks"
        "formatter"
      ];

      project = pyproject-nix.lib.project.loadPyproject { projectRoot = ./.; };
      metadata = project.pyproject.project;
      inherit (metadata) name version description;

      # Dependencies that are too old in nixos-26.05; the hash is that of the sdist on PyPI.
      releases = {
        fastapi = {
          version = "0.143.5";
          hash = "sha256-C1yOUtJDzS8BU3a0HnjbW+5YVXh4JIGr0UXhq1pio7o=";
          needs = [ "opentelemetry-api" ];
        };
        gunicorn = {
          version = "26.0.0";
          hash = "sha256-ypNG+F46Su62TUkQRcFrmjVker036hXv5TCA64sJC68=";
        };
        opentelemetry-api = {
          version = "1.44.0";
          hash = "sha256-Z2R+XpVm7c9CEWb98CKzU3+BhjXaqFKyieNGBNxvszo=";
          pname = "opentelemetry_api";
        };
      };

      # Only the files of the wheel, so that changes to others cause no rebuild.
      kept = file: !file.hasExt "pyc";
      source = lib.fileset.toSource {
        root = ./.;
        fileset = lib.fileset.unions [
          ./pyproject.toml
          ./README.md
          (lib.fileset.maybeMissing ./LICENSE)
          (lib.fileset.fileFilter kept ./{{ cookiecutter.package_name }})
        ];
      };

      perSystem =
        system:
        let
          pkgs = nixpkgs.legacyPackages.${system};

          # For each module, the newer version: that of nixpkgs, or the one above.
          newest =
            final: previous: pname: release:
            if lib.versionAtLeast previous.${pname}.version release.version then
              previous.${pname}
            else
              previous.${pname}.overridePythonAttrs (old: {
                inherit (release) version;
                src = pkgs.fetchPypi ({ inherit pname; } // removeAttrs release [ "needs" ]);
                # The source in nixpkgs can be a folder of a repository.
                sourceRoot = null;
                dependencies = old.dependencies ++ map (name: final.${name}) release.needs or [ ];
                patches = [ ];
                doCheck = false;
              });

          # The same version as in the Dockerfile.
          python = pkgs.python313.override {
            self = python;
            packageOverrides = final: previous: lib.mapAttrs (newest final previous) releases;
          };

          unfit = project.validators.validateVersionConstraints { inherit python; };
          versions = lib.mapAttrsToList (module: found: "${module} ${found.version}") unfit;
          listed = lib.concatStringsSep ", " versions;
          refusal = "pyproject.toml does not allow the versions in nixpkgs: ${listed}.";

          package = lib.throwIf (unfit != { }) refusal (
            python.pkgs.buildPythonPackage (
              project.renderers.buildPythonPackage { inherit python; }
              // {
                src = source;
                pythonImportsCheck = [ "{{ cookiecutter.package_name }}.app.asgi" ];
              }
            )
          );

          production = python.withPackages (_: [ package ]);
          testing = python.withPackages (packages: [
            package
            packages.httpx
            packages.pytest
          ]);

          # Keep this configuration in sync with the Dockerfile.
          image = pkgs.dockerTools.streamLayeredImage {
            inherit name;
            tag = version;
            contents = [ pkgs.dockerTools.caCertificates ];
            extraCommands = ''
              mkdir -m 1777 tmp
              mkdir -p app/.venv/bin
              ln -s ${production}/bin/python app/.venv/bin/python
            '';
            config = {
              WorkingDir = "/app";
              User = "65532:65532";
              ExposedPorts."8000/tcp" = { };
              StopSignal = "SIGTERM";
              Entrypoint = [
                "/app/.venv/bin/python"
                "-m"
                "{{ cookiecutter.package_name }}"
              ];
              Cmd = [
                "serve"
                "--bind"
                "0.0.0.0:8000"
              ];
              Labels = {
                "org.opencontainers.image.title" = name;
                "org.opencontainers.image.description" = description;
                "org.opencontainers.image.version" = version;
                "org.opencontainers.image.source" = metadata.urls.Repository;
              }
              // lib.optionalAttrs (metadata ? license) {
                "org.opencontainers.image.licenses" = metadata.license;
              };
            };
          };
        in
        {
          packages = {
            default = package;
          }
          // lib.optionalAttrs pkgs.stdenv.hostPlatform.isLinux {
            inherit image;
          };

          apps.default = {
            type = "app";
            program = "${package}/bin/${name}";
            meta = {
              inherit description;
            };
          };

          devShells.default = pkgs.mkShell {
            # Everything that the Makefile calls, except the container engine.
            packages = [
              python
              pkgs.{{ cookiecutter.package_manager }}
              pkgs.git
              pkgs.gnumake
{%- if cookiecutter.database %}
              pkgs.postgresql
{%- endif %}
{%- if cookiecutter.redis %}
              pkgs.redis
{%- endif %}
{%- if cookiecutter.helm %}
              pkgs.kind
              pkgs.kubectl
              pkgs.kubernetes-helm
{%- endif %}
            ];
            env.PYTHON = "${python}/bin/python3";
            shellHook = ''
              # The packages of this shell's tools must not be visible in .venv.
              unset PYTHONPATH
            '';
          };

          checks = {
            inherit package;

            unit-test = pkgs.runCommand "${name}-unit-test" { nativeBuildInputs = [ testing ]; } ''
              cd ${./.}
              pytest -p no:cacheprovider tests/unit
              touch "$out"
            '';

            format = pkgs.runCommand "${name}-format" { nativeBuildInputs = [ pkgs.nixfmt ]; } ''
              nixfmt --check ${./default.nix} ${./flake.nix} ${./shell.nix}
              touch "$out"
            '';
          };

          formatter = pkgs.nixfmt-tree;
        };

      bySystem = lib.genAttrs systems perSystem;
    in
    lib.genAttrs kinds (kind: lib.mapAttrs (_: outputs: outputs.${kind}) bySystem);
}

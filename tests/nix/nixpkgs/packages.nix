{ lib, system }:
let
  inherit (builtins)
    all
    attrNames
    concatMap
    elem
    filter
    isString
    length
    toJSON
    ;

  only =
    what: known: given:
    let
      unknown = filter (name: !elem name known) (attrNames given);
    in
    if unknown == [ ] then given else throw "${what} takes no ${toString unknown}";

  make =
    name: attributes: extra:
    derivation (
      {
        inherit name system;
        builder = "/bin/false";
      }
      // attributes
    )
    // extra;

  program =
    pname: version:
    make "${pname}-${version}" { } {
      inherit pname version;
      meta.mainProgram = pname;
    };

  # The versions in nixos-26.05, as far as known; the current ones can be newer.
  modules = {
    aiohttp = "3.13.3";
    aiosqlite = "0.21.0";
    alembic = "1.17.2";
    asyncpg = "0.30.0";
    click = "8.3.1";
    fastapi = "0.136.3";
    greenlet = "3.2.4";
    gunicorn = "23.0.0";
    httptools = "0.7.1";
    httpx = "0.28.1";
    opentelemetry-api = "1.40.0";
    poetry-core = "2.2.1";
    prometheus-client = "0.24.1";
    pydantic-settings = "2.12.0";
    pytest = "9.0.2";
    redis = "7.2.1";
    sqlalchemy = "2.0.44";
    starlette = "1.1.0";
    uvicorn = "0.40.0";
    uvicorn-worker = "0.4.0";
    uvloop = "0.22.1";
  };

  interpreter =
    {
      self ? interpreter { },
      packageOverrides ? _: _: { },
    }:
    let
      plain = lib.mapAttrs (name: version: module { inherit version; pname = name; }) modules;

      module =
        attributes:
        make "python3.13-${attributes.pname}-${attributes.version}"
          {
            src = attributes.src or "";
            requirements = map toString (
              concatMap (kind: attributes.${kind} or [ ]) [
                "build-system"
                "dependencies"
              ]
            );
          }
          {
            inherit (attributes) pname version;
            inherit attributes;
            optional-dependencies = lib.optionalAttrs (attributes.pname == "sqlalchemy") {
              asyncio = [ plain.greenlet ];
            };
            meta = attributes.meta or { };
            pythonModule = "3.13";
            overridePythonAttrs =
              change:
              module (
                attributes
                // only "overridePythonAttrs" [
                  "dependencies"
                  "doCheck"
                  "patches"
                  "sourceRoot"
                  "src"
                  "version"
                ] (change ({ dependencies = [ ]; } // attributes))
              );
          };

      modular = what: given: if given ? pythonModule then given else throw "${what}: not a module";

      environment =
        choose:
        let
          chosen = map (modular "withPackages") (choose self.pkgs);
        in
        make "python3-3.13.12-env" { modules = map toString chosen; } { modules = chosen; };

      set = plain // packageOverrides set plain // {
        buildPythonPackage =
          given:
          let
            attributes = only "buildPythonPackage" [
              "build-system"
              "dependencies"
              "disabled"
              "meta"
              "optional-dependencies"
              "passthru"
              "pname"
              "pyproject"
              "pythonImportsCheck"
              "src"
              "version"
            ] given;
          in
          assert attributes.pyproject && !attributes.disabled;
          assert all (given: given == modular "dependencies" given) attributes.dependencies;
          assert length attributes.build-system > 0;
          module attributes;
      };
    in
    make "python3-3.13.12" { } {
      version = "3.13.12";
      pythonVersion = "3.13";
      pkgs = set;
      withPackages = environment;
      override = interpreter;
    };
in
lib.genAttrs
  [
    "git"
    "gnumake"
    "kind"
    "kubectl"
    "kubernetes-helm"
    "nixfmt"
    "nixfmt-tree"
    "poetry"
    "postgresql"
    "redis"
    "uv"
  ]
  (name: program name "1")
// {
  python313 = interpreter { };

  stdenv.hostPlatform.isLinux = elem system [
    "x86_64-linux"
    "aarch64-linux"
  ];

  fetchPypi =
    {
      pname,
      version,
      hash,
    }:
    make "${pname}-${version}.tar.gz" {
      outputHash = hash;
      outputHashMode = "flat";
      outputHashAlgo = "sha256";
    } { };

  dockerTools = {
    caCertificates = program "ca-certificates" "1";

    streamLayeredImage =
      {
        name,
        tag ? null,
        contents ? [ ],
        config ? { },
        created ? "1970-01-01T00:00:01Z",
        extraCommands ? "",
        ...
      }@given:
      let
        asked = only "streamLayeredImage" [
          "config"
          "contents"
          "created"
          "extraCommands"
          "fakeRootCommands"
          "gid"
          "maxLayers"
          "mtime"
          "name"
          "tag"
          "uid"
        ] given;
        # The names in the image specification; the real function silently drops others.
        checked = only "config" [
          "Cmd"
          "Entrypoint"
          "Env"
          "ExposedPorts"
          "Labels"
          "StopSignal"
          "User"
          "Volumes"
          "WorkingDir"
        ] config;
      in
      make "stream-${name}" {
        inherit extraCommands;
        config = toJSON checked;
        contents = map toString contents;
      } { inherit asked; };
  };

  mkShell =
    {
      packages ? [ ],
      shellHook ? "",
      env ? { },
      ...
    }@given:
    assert all (variable: isString env.${variable}) (attrNames env);
    make "nix-shell" (env // { inherit shellHook; packages = map toString packages; }) {
      asked = only "mkShell" [
        "env"
        "packages"
        "shellHook"
      ] given;
    };

  runCommand =
    name: attributes: script:
    make name (attributes // { inherit script; }) {
      inherit script;
      inputs = attributes.nativeBuildInputs;
    };
}

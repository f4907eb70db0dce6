# A stub of pyproject.nix that parses dependencies only in the form that the template uses:
# a name with extras, and lower and upper bounds.
{
  inputs.nixpkgs.url = "github:nixos/nixpkgs/nixos-unstable";

  outputs =
    { nixpkgs, ... }:
    let
      inherit (builtins)
        attrNames
        compareVersions
        concatMap
        elemAt
        filter
        fromTOML
        listToAttrs
        map
        match
        readFile
        split
        ;
      inherit (nixpkgs.lib) genAttrs optionalAttrs;

      parse =
        text:
        let
          parts = match "([a-z0-9-]+)(\\[([a-z,]+)])?((>=|<)[0-9.]+(,(>=|<)[0-9.]+)*)?" text;
          listed = at: if elemAt parts at == null then [ ] else separated (elemAt parts at);
          separated = list: filter builtins.isString (split "," list);
        in
        if parts == null then
          throw "cannot read ${text}"
        else
          {
            name = elemAt parts 0;
            extras = listed 2;
            conditions = map (match "(>=|<)(.+)") (listed 3);
          };

      holds =
        version: condition:
        let
          order = compareVersions version (elemAt condition 1);
        in
        if elemAt condition 0 == ">=" then order >= 0 else order < 0;
    in
    {
      lib.project.loadPyproject =
        { projectRoot }:
        let
          pyproject = fromTOML (readFile (projectRoot + "/pyproject.toml"));
          dependencies = map parse pyproject.project.dependencies;
          build = map parse pyproject.build-system.requires;
          get =
            python:
            concatMap (
              { name, extras, ... }:
              let
                module = python.pkgs.${name};
              in
              [ module ] ++ concatMap (extra: module.optional-dependencies.${extra}) extras
            );
        in
        {
          inherit pyproject projectRoot;

          renderers.buildPythonPackage =
            { python }:
            {
              inherit (pyproject.project) version;
              pname = pyproject.project.name;
              src = projectRoot;
              pyproject = true;
              dependencies = get python dependencies;
              build-system = get python build;
              optional-dependencies = { };
              passthru.dependency-groups = throw "no group is asked for";
              disabled = !holds python.version (match "(>=|<)(.+)" pyproject.project.requires-python);
              meta = {
                inherit (pyproject.project) description;
              }
              // (
                let
                  scripts = attrNames pyproject.project.scripts;
                in
                optionalAttrs (builtins.length scripts == 1) { mainProgram = elemAt scripts 0; }
              );
            };

          validators.validateVersionConstraints =
            { python }:
            listToAttrs (
              concatMap (
                wanted:
                let
                  inherit (python.pkgs.${wanted.name}) version;
                  conditions = filter (condition: !holds version condition) wanted.conditions;
                in
                if conditions == [ ] then
                  [ ]
                else
                  [
                    {
                      inherit (wanted) name;
                      value = { inherit version conditions; };
                    }
                  ]
              ) (dependencies ++ build)
            );
        };
    };
}

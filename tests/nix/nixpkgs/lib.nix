let
  inherit (builtins)
    attrNames
    compareVersions
    concatMap
    filter
    isAttrs
    isPath
    listToAttrs
    map
    match
    pathExists
    readDir
    toString
    ;
in
rec {
  inherit (builtins) concatStringsSep mapAttrs;

  genAttrs = names: make: listToAttrs (map (name: { inherit name; value = make name; }) names);
  mapAttrsToList = make: set: map (name: make name set.${name}) (attrNames set);
  optionalAttrs = condition: set: if condition then set else { };
  throwIf = condition: message: value: if condition then throw message else value;
  versionAtLeast = version: least: compareVersions version least >= 0;

  # A file set is represented by the list of its paths.
  fileset =
    let
      files =
        path:
        if isAttrs path then
          path.files
        else if !isPath path || !pathExists path then
          throw "no such file: ${toString path}"
        else if readType path == "directory" then
          concatMap (name: files (path + "/${name}")) (attrNames (readDir path))
        else
          [ path ];
      readType = path: (readDir (dirOf path)).${baseNameOf path};
    in
    {
      unions = sets: { files = concatMap files sets; };
      maybeMissing = path: if pathExists path then path else { files = [ ]; };
      fileFilter = fits: path: {
        files = filter (
          file: fits { hasExt = extension: match ".*\\.${extension}" (baseNameOf file) != null; }
        ) (files path);
      };
      toSource =
        { root, fileset }:
        let
          kept = map toString fileset.files;
          above = path: filter (file: match "${path}/.*" file != null) kept != [ ];
        in
        {
          inherit root;
          outPath = builtins.path {
            name = "source";
            path = root;
            filter = path: _: builtins.elem path kept || above path;
          };
        };
    };
}

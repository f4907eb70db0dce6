# The outputs of flake.nix, for Nix without flakes: `nix-build` builds the package,
# `nix-build --attr image` the image. The inputs are those of flake.lock.
{
  system ? builtins.currentSystem,
}:
let
  lock = builtins.fromJSON (builtins.readFile ./flake.lock);

  fetch =
    input:
    let
      inherit (lock.nodes.${lock.nodes.root.inputs.${input}}) locked;
    in
    builtins.fetchTarball {
      url = "https://github.com/${locked.owner}/${locked.repo}/archive/${locked.rev}.tar.gz";
      sha256 = locked.narHash;
    };

  load =
    folder: inputs:
    let
      outputs = (import "${folder}/flake.nix").outputs (inputs // { inherit self; });
      self = outputs // { outPath = folder; };
    in
    self;

  nixpkgs = load (fetch "nixpkgs") { };
  pyproject-nix = load (fetch "pyproject-nix") { inherit nixpkgs; };
  project = (import ./flake.nix).outputs { inherit nixpkgs pyproject-nix; };
  packages = project.packages.${system};
in
packages.default // packages // { shell = project.devShells.${system}.default; }

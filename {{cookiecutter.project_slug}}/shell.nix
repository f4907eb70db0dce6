# The shell of flake.nix, for those without flakes: `nix-shell`.
{
  system ? builtins.currentSystem,
}:
(import ./default.nix { inherit system; }).shell

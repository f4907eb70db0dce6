# The shell of flake.nix, for Nix without flakes: `nix-shell`.
{
  system ? builtins.currentSystem,
}:
(import ./default.nix { inherit system; }).shell

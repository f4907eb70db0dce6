# Stands in for nixpkgs: what the expressions of the template ask of it, and no more, so
# that anything else is refused. Nothing of it can be built.
{
  outputs =
    { self, ... }:
    {
      lib = import ./lib.nix;

      legacyPackages = self.lib.genAttrs [
        "x86_64-linux"
        "aarch64-linux"
        "aarch64-darwin"
      ] (system: import ./packages.nix { inherit (self) lib; inherit system; });
    };
}

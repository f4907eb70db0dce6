# A stub of nixpkgs with only those attributes that the expressions of the template use, so
# that anything else fails. Its packages cannot be built.
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

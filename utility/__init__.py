"""What people call: preparing data, reports, health. Imports pkgs; nothing imports it."""

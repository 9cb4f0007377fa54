"""The Debian package: what is bundled, how it is laid out, and what it changes on a system. Never part of the device."""

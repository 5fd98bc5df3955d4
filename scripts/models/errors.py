"""What can go wrong while a model is installed. Every message says what to do next."""


class InstallError(Exception):
    """A model could not be installed. What has come so far is kept."""


class HubError(InstallError):
    """The hub refused, or could not be reached."""


class DamagedFileError(InstallError):
    """A file is not the one that the hub describes, even at the second try."""


class DiskFullError(InstallError):
    """The disk has, or had, too little room."""

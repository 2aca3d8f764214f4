"""Files come from offices and servers and are kept as received.

The order is always the same: ``settled(source)`` says what may be taken, ``source.fetch`` brings it, ``Archive.put``
and ``Archive.record`` keep it, and only then ``source.acknowledge`` lets go of the original. A crash anywhere between
repeats the file, and the same bytes are the same object.
"""

from teilhabe.landing.archive import Archive, Archived, ManifestEntry
from teilhabe.landing.arrival import Arrival, arrival
from teilhabe.landing.base import Credentials, RemoteFile, Source, TooLargeError, max_file_bytes, settle_seconds
from teilhabe.landing.inbox import FolderSource, dataset_inbox, hand_in
from teilhabe.landing.mail import MailSource
from teilhabe.landing.opening import environment_credentials, open_source
from teilhabe.landing.settling import settled

__all__ = [
    "Archive",
    "Archived",
    "Arrival",
    "Credentials",
    "FolderSource",
    "MailSource",
    "ManifestEntry",
    "RemoteFile",
    "Source",
    "TooLargeError",
    "arrival",
    "dataset_inbox",
    "environment_credentials",
    "hand_in",
    "max_file_bytes",
    "open_source",
    "settle_seconds",
    "settled",
]

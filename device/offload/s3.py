"""A bucket of an S3 store, with object lock: multipart uploads that go on where they were cut, checked part by part.

Each part travels with its SHA-256 in the signature and with its MD5, and the store refuses one that arrives otherwise. Of
what a cut upload left, only parts whose size and MD5 are those of our bytes are kept; the whole is compared afterwards by
reading it, or by the agency's receipt. What the server says is believed as far as it can be checked, and its words are
never shown. The only importer of botocore.
"""

import base64
import functools
import hashlib
import re
import ssl
from collections.abc import Callable, Generator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import botocore.session
import msgspec
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

from device.clock import Clock
from device.errors import StoreError
from device.offload.end_points import Bucket
from device.offload.stores import Blocks, Keeping
from device.offload.transport import Transport

MIB = 1024 * 1024
MAX_PARTS = 9_000
"""S3 has room for 10 000."""
MAX_PAGES = 1_000
MAX_CUT_UPLOADS = 10
Lock = Literal["compliance", "governance", "none"]
_CODE = re.compile(r"[A-Za-z0-9.]{1,60}")
_NOT_THERE = {
    "404", "NoSuchKey", "NotFound",
    "NoSuchObjectLockConfiguration", "ObjectLockConfigurationNotFoundError",  # no retention on an object: AWS's word, Ceph's
}  # fmt: skip
_STREAMED = "GetObject"
_FORGET = {"config_file": (None, None, "/dev/null", None), "credentials_file": (None, None, "/dev/null", None),
           "profile": (None, None, None, None)}  # fmt: skip
"""What the library would read from the environment and from the home folder."""


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    access_key: str
    secret_key: str

    def __repr__(self) -> str:
        return "Credentials(…)"


class S3Store:
    """`part_bytes`: memory that an upload takes; larger for an object of more than `MAX_PARTS` of them."""

    def __init__(
        self,
        bucket: Bucket,
        credentials: Credentials,
        clock: Clock,
        *,
        ca: Path | None = None,
        lock: Lock = "compliance",
        region: str = "us-east-1",
        part_bytes: int = 8 * MIB,
        timeout_s: float = 30,
    ) -> None:
        self.replaces = lock != "none"
        self._bucket = bucket
        self._lock = lock
        self._part_bytes = part_bytes
        tls = ssl.create_default_context(cafile=ca) if bucket.tls else None
        self._transport = Transport(bucket.host, bucket.port, tls, timeout_s, clock)
        self._client = _session().create_client(
            "s3",
            endpoint_url=bucket.url,
            region_name=region,
            aws_access_key_id=credentials.access_key,
            aws_secret_access_key=credentials.secret_key,
            config=Config(
                s3={"addressing_style": "path", "payload_signing_enabled": True},
                signature_version="s3v4",
                retries={"total_max_attempts": 1},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                ignore_configured_endpoint_urls=True,
            ),
        )
        self._client.meta.events.register_first("before-send.s3", self._send)

    def size(self, name: str) -> int | None:
        head = self._find("head_object", name)
        return None if head is None else _whole(head, "ContentLength")

    def upload(self, name: str, blocks: Callable[[], Blocks], size: int, keeping: Keeping) -> None:
        part_bytes = max(self._part_bytes, -(-size // MAX_PARTS))
        upload, there = self._cut_upload(name, blocks, part_bytes) or (self._begin(name, keeping), 0)
        parts = []
        for number, part in enumerate(_in_parts(blocks(), part_bytes), 1):
            digest = hashlib.md5(part, usedforsecurity=False)
            if number > there:
                md5 = base64.b64encode(digest.digest()).decode()
                self._ask("upload_part", Key=name, UploadId=upload, PartNumber=number, Body=part, ContentMD5=md5)
            parts.append({"PartNumber": number, "ETag": f'"{digest.hexdigest()}"'})
        whole = {"Parts": parts}
        self._ask("complete_multipart_upload", Key=name, UploadId=upload, MultipartUpload=whole)
        if self.size(name) != size:
            raise StoreError(f"{self._place(name)}: what was sent whole is not there with its {size} bytes")

    def hold(self, name: str, keeping: Keeping) -> None:
        """Asked for on what is there, and looked at: some stores pass over what an upload's beginning asks for."""
        if not self.replaces:
            return
        if self._held(name, keeping):
            return
        retention = {"Mode": self._lock.upper(), "RetainUntilDate": keeping.until}
        self._ask("put_object_retention", Key=name, Retention=retention)
        if not self._held(name, keeping):
            raise StoreError(f"{self._place(name)}: the store does not hold it under the lock that was asked for")

    def _held(self, name: str, keeping: Keeping) -> bool:
        """Whether it is held for at least so long, and no weaker."""
        answer = self._find("get_object_retention", name)
        held = answer.get("Retention", {}) if answer is not None else {}
        until = held.get("RetainUntilDate")
        enough = held.get("Mode") in ("COMPLIANCE", self._lock.upper())
        return enough and isinstance(until, datetime) and until.timestamp() >= int(keeping.until.timestamp())

    def blocks(self, name: str, limit: int) -> Generator[bytes]:
        self._transport.body_limit = limit
        answer = self._ask("get_object", Key=name)
        size, got, body = _whole(answer, "ContentLength"), 0, answer["Body"]
        try:
            if size > limit:
                raise StoreError(f"{self._place(name)}: {size} bytes; the limit is {limit}")
            while block := self._guarded("get_object", lambda: body.read(MIB)):
                got += len(block)
                yield block
            if got != size:
                raise StoreError(f"{self._place(name)}: the link was cut after {got} of {size} bytes")
        finally:
            body.close()

    def small(self, name: str, limit: int) -> bytes | None:
        size = self.size(name)
        if size is None:
            return None
        return b"".join(self.blocks(name, limit))

    def put_small(self, name: str, data: bytes) -> None:
        if self.size(name) is not None:
            raise StoreError(f"{self._place(name)}: something is there under this name")
        md5 = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        self._ask("put_object", Key=name, Body=data, ContentMD5=md5)

    def names(self, prefix: str) -> list[str]:
        names: list[str] = []
        page: dict[str, str] = {}
        for _ in range(MAX_PAGES):
            answer = self._ask("list_objects_v2", Prefix=prefix, **page)
            for entry in answer.get("Contents", []):
                name = _text(entry, "Key")
                if not name.startswith(prefix) or (names and name <= names[-1]):
                    raise StoreError(f"{self._place(prefix)}: its list of names is not in order")
                names.append(name)
            if not answer.get("IsTruncated"):
                return names
            page = {"ContinuationToken": _text(answer, "NextContinuationToken")}
        raise StoreError(f"{self._place(prefix)}: a list of names without end")

    # -- uploads ----------------------------------------------------------------------------------------------------

    def _cut_upload(self, name: str, blocks: Callable[[], Blocks], part_bytes: int) -> tuple[str, int] | None:
        """The upload of this very name of which most has arrived, and how many parts: the first so many of ours, each with
        our size and MD5, and no other. One with any other part is left as it is."""
        found = self._ask("list_multipart_uploads", Prefix=name).get("Uploads", [])
        own = [_text(upload, "UploadId") for upload in found if upload.get("Key") == name][-MAX_CUT_UPLOADS:]
        if not own:
            return None
        ours = [(_md5(part), len(part)) for part in _in_parts(blocks(), part_bytes)]
        fitting = []
        for upload in own:
            there = self._parts(name, upload)
            if there == dict(enumerate(ours[: len(there)], 1)):
                fitting.append((len(there), upload))
        if not fitting:
            return None
        count, upload = max(fitting)
        return upload, count

    def _begin(self, name: str, keeping: Keeping) -> str:
        held = (
            {"ObjectLockMode": self._lock.upper(), "ObjectLockRetainUntilDate": keeping.until} if self.replaces else {}
        )
        hints = {"retention-days": str(keeping.days), "retain-until": keeping.until.strftime("%Y-%m-%dT%H:%M:%SZ")}
        answer = self._ask(
            "create_multipart_upload", Key=name, Metadata=hints, ContentType="application/x-tar", **held
        )  # fmt: skip
        return _text(answer, "UploadId")

    def _parts(self, name: str, upload: str) -> dict[int, tuple[str, int]]:
        """MD5 and size of the parts that have arrived."""
        parts: dict[int, tuple[str, int]] = {}
        page: dict[str, int] = {}
        for _ in range(MAX_PAGES):
            answer = self._ask("list_parts", Key=name, UploadId=upload, **page)
            for entry in answer.get("Parts", []):
                parts[_whole(entry, "PartNumber")] = (_text(entry, "ETag").strip('"'), _whole(entry, "Size"))
            marker = answer.get("NextPartNumberMarker")
            if (
                not answer.get("IsTruncated")
                or not isinstance(marker, int)
                or marker <= page.get("PartNumberMarker", 0)
            ):
                return parts
            page = {"PartNumberMarker": marker}
        raise StoreError(f"{self._place(name)}: a list of parts without end")

    # -- asking -----------------------------------------------------------------------------------------------------

    def _find(self, operation: str, name: str) -> dict[str, Any] | None:
        try:
            return self._ask(operation, Key=name)
        except _NotThereError:
            return None

    def _ask(self, operation: str, **given: Any) -> dict[str, Any]:
        place = str(given.get("Key") or given.get("Prefix", ""))
        call = getattr(self._client, operation)
        answer = self._guarded(operation, lambda: call(Bucket=self._bucket.bucket, **given), place)
        if not isinstance(answer, dict):
            raise StoreError(f"{self._place(place)}: an answer to {operation} that is none")
        return answer

    def _guarded(self, operation: str, call: Any, place: str = "") -> Any:
        """Whatever the library makes of what a server sends, it is the store's failing, in words of ours."""
        try:
            return call()
        except StoreError:
            raise
        except ClientError as failure:
            code = str(failure.response.get("Error", {}).get("Code", ""))
            said = code if _CODE.fullmatch(code) else "an error without a name"
            kind = _NotThereError if code in _NOT_THERE else StoreError
            raise kind(f"{self._place(place)}: {operation} was refused: {said}") from None
        except Exception as failure:  # noqa: BLE001 - a foreign library at the mercy of a foreign server
            what = type(failure).__name__
            raise StoreError(f"{self._place(place)}: the answer to {operation} can't be read ({what})") from None

    def _send(self, request: AWSPreparedRequest, event_name: str, **_: Any) -> AWSResponse:
        return self._transport.send(request, streamed=event_name.endswith(f".{_STREAMED}"))

    def _place(self, name: str) -> str:
        return f"{self._bucket.url}/{self._bucket.bucket}/{name}"


@functools.cache
def _session() -> Any:
    """It holds the library's tables, which take most of the time to make a client."""
    return botocore.session.Session(session_vars=_FORGET)


class _NotThereError(StoreError):
    """There is no such object."""


def _md5(part: bytes) -> str:
    return hashlib.md5(part, usedforsecurity=False).hexdigest()


def _in_parts(blocks: Blocks, part_bytes: int) -> Iterator[bytes]:
    """The same bytes in parts of one size but for the last."""
    part = bytearray()
    for block in blocks:
        view = memoryview(block)
        while view:
            taken = view[: part_bytes - len(part)]
            part += taken
            view = view[len(taken) :]
            if len(part) == part_bytes:
                yield bytes(part)
                part.clear()
    if part:
        yield bytes(part)


def _text(answer: dict[str, Any], key: str) -> str:
    value = answer.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= 2048:
        raise StoreError(f"the store's answer has no {key}")
    return value


def _whole(answer: dict[str, Any], key: str) -> int:
    value = answer.get(key)
    if not isinstance(value, int) or not 0 <= value < 1 << 53:
        raise StoreError(f"the store's answer has no {key}")
    return value

"""What a store says when it cannot: one kind of error for a person, whatever library it came from."""

import http.client
import sys
from collections.abc import Iterator
from typing import Any

from transforms.coordination.fatal import FatalError


class StorageError(FatalError):
    """A file could not be read or written; the message names it and the remedy."""


# The libraries' own trees, which do not descend from OSError. Looked up only where the library is loaded.
_TREES = {
    "botocore.exceptions": ("BotoCoreError", "ClientError"),
    "botocore.parsers": ("ResponseParserError",),
    "aiohttp": ("ClientError",),
    "gcsfs.retry": ("HttpError", "ChecksumError"),
    "google.auth.exceptions": ("GoogleAuthError",),
    "google.api_core.exceptions": ("GoogleAPIError",),
    "azure.core.exceptions": ("AzureError",),
}
_BROKEN_LINES = {
    "aiohttp": ("ClientPayloadError", "ClientConnectionError"),
    "botocore.exceptions": ("HTTPClientError", "EndpointConnectionError", "IncompleteReadError"),
    "botocore.parsers": ("ResponseParserError",),
    "gcsfs.retry": ("ChecksumError",),
    "requests.exceptions": ("ConnectionError", "Timeout", "ChunkedEncodingError"),
    "azure.core.exceptions": ("ServiceRequestError", "ServiceResponseError", "IncompleteReadError"),
}
_NOBODY = {
    "botocore.exceptions": ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError",
                            "ProfileNotFound", "TokenRetrievalError", "SSOError"),
    "google.auth.exceptions": ("GoogleAuthError",),
}  # fmt: skip
_BUSY = {"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "Throttling", "ThrottlingException",
         "TooManyRequests", "RequestLimitExceeded", "BandwidthLimitExceeded", "ServerBusy", "OperationTimedOut",
         "OperationAborted", "ConditionalRequestConflict", "408", "429", "500", "502", "503", "504"}  # fmt: skip
_NO_BUCKET = {"NoSuchBucket", "ContainerNotFound", "InvalidBucketName"}
_WRONG_CREDENTIALS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken",
                      "TokenRefreshRequired", "AuthenticationFailed", "InvalidAuthenticationInfo",
                      "RequestTimeTooSkewed", "401"}  # fmt: skip
_THERE_ALREADY = {"PreconditionFailed", "BlobAlreadyExists", "412"}
_BEHIND_THE_END = {"InvalidRange", "416"}
_REMEDIES = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or a role",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or AZURE_STORAGE_CONNECTION_STRING",
    "hdfs": "HADOOP_HOME, CLASSPATH and your Kerberos ticket",
}


def failures() -> tuple[type[BaseException], ...]:
    """Every error that a store may answer with; for an `except`."""
    return (OSError, EOFError, http.client.HTTPException, ValueError, RuntimeError, *_loaded(_TREES))


def _loaded(tree: dict[str, tuple[str, ...]]) -> tuple[type[BaseException], ...]:
    modules = ((sys.modules.get(module), names) for module, names in tree.items())
    return tuple(getattr(m, n) for m, names in modules if m is not None for n in names if hasattr(m, n))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def code_of(error: BaseException) -> str:
    """The store's own word for it, such as `NoSuchBucket`; "" where there is none."""
    for cause in _chain(error):
        response: Any = getattr(cause, "response", None)
        stated = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
        code = (
            stated
            or getattr(cause, "error_code", None)
            or getattr(cause, "status_code", None)
            or getattr(cause, "code", "")
        )
        if code and isinstance(code, str | int):
            return str(code)
    return ""


def is_transient(error: BaseException) -> bool:
    """Whether the same request may well succeed a little later."""
    return code_of(error) in _BUSY or is_broken_line(error)


def is_broken_line(error: BaseException) -> bool:
    """Whether no whole answer came: refused, reset, cut off, too late."""
    plain: tuple[type[BaseException], ...] = (ConnectionError, TimeoutError, http.client.HTTPException, EOFError)
    kinds = (*plain, *_loaded(_BROKEN_LINES))
    return any(isinstance(cause, kinds) for cause in _chain(error))


def is_there_already(error: BaseException) -> bool:
    """Whether a conditional write found an object."""
    return isinstance(error, FileExistsError) or code_of(error) in _THERE_ALREADY


def is_behind_the_end(error: BaseException) -> bool:
    return code_of(error) in _BEHIND_THE_END


def is_unconditional(error: BaseException) -> bool:
    """Whether the store does not know conditional writes."""
    return code_of(error) in ("NotImplemented", "501")


def explained(url: str, doing: str, error: BaseException) -> StorageError:
    """One line with the url, the reason and the remedy. Never a credential."""
    code = code_of(error)
    shown = f" ({code})" if code else ""
    where = _REMEDIES.get(family(url), "the variables of this store")
    if code in _NO_BUCKET:
        why = f"there is no such bucket{shown}; make it first, or name another"
    elif isinstance(error, _loaded(_NOBODY)):
        why = f"there are no credentials for it; set {where}"
    elif code in _WRONG_CREDENTIALS:
        why = f"the store does not accept the credentials{shown}; check {where}"
    elif isinstance(error, PermissionError) or code in ("AccessDenied", "403") or "Forbidden" in str(error):
        why = f"no permission{shown}; ask for leave to read, write, list and delete there"
    elif is_broken_line(error):
        why = "the store does not answer; check the network, and AWS_ENDPOINT_URL where it is set, then run again"
    elif is_transient(error):
        why = f"the store is too busy or out of order{shown}; run the same command again later"
    elif isinstance(error, FileNotFoundError):
        why = "there is no such object"
    else:
        why = " ".join(f"{error or type(error).__name__}".split())[:300]
    return StorageError(f"cannot {doing} {url}: {why}")


def family(url: str) -> str:
    """s3, gs, az, hdfs: schemes that mean the same store have one name."""
    scheme = url.partition("://")[0]
    return {"s3a": "s3", "gcs": "gs", "abfs": "az", "abfss": "az"}.get(scheme, scheme)

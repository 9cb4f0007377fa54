"""`bodycam provision`: key, install and show on a device; statement on the agency's own computer."""

import argparse
from pathlib import Path

from device.config import read_configuration
from device.terminal import print_json, safe

_KEY = (
    "make a device's key where `[identity]` says (a PEM file, a PKCS#11 token, a TPM), and write the request for its "
    "certificate, which the agency's CA answers; a key that is there is never overwritten: --existing writes a request for it"
)
_REQUESTS = (
    "at the first start, for the service manager: make every key that the configuration names and that is not there yet, and "
    "write the requests for their certificates; nothing that is there is overwritten"
)
_STATEMENT = "sign the agency's statement about a device, with which its journal begins; on the agency's own computer"
_INSTALL = (
    "check what the agency gave, against each other and against the key, and put it where the configuration names it: all "
    "of it, or nothing"
)
_SHOW = "say which keys a device has, where they are, how they are protected, and until when they are certified"


def add_provision_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """`bodycam provision`, and the commands under it."""
    what = "give a device its keys, and the agency's word on them"
    example = "example: bodycam provision show --config /etc/bodycam/bodycam.toml"
    provision = _command(commands, "provision", what, example)
    under = provision.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_key(under)
    _add_requests(under)
    _add_install(under)
    _add_show(under)
    _add_statement(under)


def _add_key(under: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    example = "example: bodycam provision key --config /etc/bodycam/bodycam.toml -o BC-000001.csr"
    key = _command(under, "key", _KEY, example)
    _on_device(key)
    key.add_argument("--existing", action="store_true", help="write a request for the key that is there already")
    key.add_argument(
        "--attestation", type=Path, metavar="OUT.json", help="with a TPM that anchors: what the agency signs"
    )
    key.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.csr", help="the request (PEM)")
    key.add_argument("--force", action="store_true", help="replace the request if it is there; never a key")
    key.set_defaults(run=_key)


def _add_requests(under: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    example = (
        "example: bodycam provision requests --config /etc/bodycam/bodycam.toml --folder /var/lib/bodycam-identity"
    )
    requests = _command(under, "requests", _REQUESTS, example)
    requests.add_argument("--config", type=Path, required=True, metavar="FILE", help="bodycam.toml")
    requests.add_argument(
        "--folder",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="for ledger.csr and media.csr; ledger.csr comes last",
    )
    requests.set_defaults(run=_requests)


def _add_install(under: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    example = (
        "example: bodycam provision install --config /etc/bodycam/bodycam.toml --certificate BC-000001.pem "
        "--statement BC-000001.jsonl --provisioner provisioner.pem"
    )
    install = _command(under, "install", _INSTALL, example)
    _on_device(install)
    install.add_argument("--certificate", type=Path, required=True, metavar="CERT", help="the device's, PEM or DER")
    install.add_argument("--statement", type=Path, metavar="FILE", help="the agency's statement (role ledger)")
    install.add_argument("--provisioner", type=Path, metavar="CERT", help="whose statement it is (role ledger)")
    install.add_argument(
        "--anchor", type=Path, metavar="CA.pem", help="the agency's CA, put where it is configured; else it is there"
    )
    install.add_argument("--force", action="store_true", help="replace what is installed")
    install.set_defaults(run=_install)


def _add_show(under: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    show = _command(under, "show", _SHOW, "example: bodycam provision show --config /etc/bodycam/bodycam.toml --json")
    show.add_argument("--config", type=Path, required=True, metavar="FILE", help="bodycam.toml")
    show.add_argument("--json", action="store_true", help="for programs")
    show.set_defaults(run=_show)


def _add_statement(under: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    example = (
        'example: bodycam provision statement --device BC-000001 --agency "City Police" --certificate BC-000001.pem '
        "--protection token --key provisioner.key --signer provisioner.pem -o BC-000001.jsonl"
    )
    statement = _command(under, "statement", _STATEMENT, example)
    statement.add_argument("--device", required=True, metavar="NAME", help="the device's name, as in its certificate")
    statement.add_argument("--agency", required=True, metavar="NAME", help="the agency's name")
    statement.add_argument("--certificate", type=Path, required=True, metavar="CERT", help="the device's, PEM or DER")
    statement.add_argument("--protection", choices=("file", "token", "tpm"), required=True, help="where the key is")
    statement.add_argument("--attestation", type=Path, metavar="FILE.json", help="with a TPM that anchors: its request")
    statement.add_argument("--key", type=Path, required=True, metavar="KEY.pem", help="the provisioner's private key")
    statement.add_argument("--signer", type=Path, required=True, metavar="CERT", help="the provisioner's certificate")
    statement.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.jsonl")
    statement.add_argument("--force", action="store_true", help="replace OUT.jsonl if it is there")
    statement.set_defaults(run=_statement)


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, what: str, example: str
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name, help=what, description=what, epilog=example, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def _on_device(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", type=Path, required=True, metavar="FILE", help="bodycam.toml")
    command.add_argument("--role", choices=("ledger", "media"), default="ledger", help="which key (default: ledger)")


def _key(options: argparse.Namespace) -> int:
    from device.provisioning import make_request

    made = make_request(
        read_configuration(options.config), options.role, options.output, options.attestation,
        existing=options.existing, force=options.force,
    )  # fmt: skip
    did = "made a key" if made.new else "found the key"
    print(safe(f"{made.device}: {did} for {made.role}, protected by: {made.protection}; SHA-256 {made.public_sha256}"))
    print(safe(f"{options.output}: the request for the agency's CA"))
    return 0


def _requests(options: argparse.Namespace) -> int:
    from device.first_keys import make_requests

    for path, made in make_requests(read_configuration(options.config), options.folder):
        did = "made a key" if made.new else "found the key"
        said = f"{made.device}: {did} for {made.role}, protected by: {made.protection}; SHA-256 {made.public_sha256}"
        print(safe(f"{path}: {said}"))
    return 0


def _install(options: argparse.Namespace) -> int:
    from device.provisioning import Given, install

    given = Given(options.certificate, options.statement, options.provisioner, options.anchor)
    for path in install(read_configuration(options.config), options.role, given, force=options.force):
        print(safe(f"{path}: installed"))
    return 0


def _statement(options: argparse.Namespace) -> int:
    from device.provisioning import make_statement

    said = make_statement(
        device=options.device,
        agency=options.agency,
        certificate=options.certificate,
        protection=options.protection,
        key=options.key,
        signer=options.signer,
        attestation=options.attestation,
        output=options.output,
        force=options.force,
    )
    print(safe(f"{options.output}: {said.agency} says of {said.device}: key protected by: {said.key_protection}"))
    return 0


def _show(options: argparse.Namespace) -> int:
    """0 when the daemon would start with it; 2 when not."""
    from device.provisioning import state

    found = state(read_configuration(options.config))
    if options.json:
        print_json(found)
        return 2 if found.problem else 0
    anchored = "anchored by a TPM" if found.anchored_by_tpm else "not anchored by a TPM"
    print(safe(f"{found.device}, {found.agency or 'no agency'}: {anchored}"))
    for key in found.keys:
        print(
            safe(
                f"{key.role}: key protected by: {key.protection}; in {key.place}; SHA-256 {key.public_sha256 or 'not known'}"
            )
        )
        if key.certificate_sha256:
            dates = f"from {key.not_before} until {key.not_after}"
            print(safe(f"  certificate {key.certificate}: {key.subject}; {dates}; SHA-256 {key.certificate_sha256}"))
    for problem in dict.fromkeys([found.problem, *(key.problem for key in found.keys)]):
        if problem:
            print(safe(problem))
    return 2 if found.problem else 0

// What a second C2PA reader, of another make than the library that wrote the manifest, says of a file: one line of JSON.
//
// It was made for pictures. Two things are told to it: that the brands of an MP4 are boxes too, and that of several `uuid`
// boxes the standard's exclusion means the one with C2PA's own type. What it hashes and compares, and how, is its own.
import { webcrypto } from 'node:crypto';
import { readFile } from 'node:fs/promises';

globalThis.crypto ??= webcrypto; // Node.js 18 has it under another name, and the packages ask for it as they are loaded
const { BMFF } = await import('@trustnxt/c2pa-ts/asset');
const { SuperBox } = await import('@trustnxt/c2pa-ts/jumbf');
const { ManifestStore, ValidationResult } = await import('@trustnxt/c2pa-ts/manifest');

BMFF.canReadBrands.add('iso5').add('iso6').add('isom').add('mp41');

class Film extends BMFF {
    getBoxByPath(path) {
        return path === '/uuid' ? this.getManifestStoreBox() : super.getBoxByPath(path);
    }
}

let labels = [];
let result;
try {
    const film = new Film(await readFile(process.argv[2]));
    const store = ManifestStore.read(SuperBox.fromBuffer(film.getManifestJUMBF()));
    const assertions = store.getActiveManifest().assertions.assertions;
    labels = assertions.map(({ label }) => label);
    result = await store.validate(film);
} catch (failure) {
    result = ValidationResult.fromError(failure);
}
const codes = result.statusEntries.map(({ code }) => code);
process.stdout.write(`${JSON.stringify({ valid: result.isValid, codes, labels })}\n`);

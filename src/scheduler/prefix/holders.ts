/**
 * Who holds one prefix, and through how many conversations. Nearly every prefix is one conversation's on one instance,
 * so the first holder needs no map: a prompt's sixteen would else be sixteen maps made and thrown away.
 */
export class Holders<Owner> {
  readonly hash: string;
  #first: Owner | null = null;
  #count = 0;
  #others: Map<Owner, number> | null = null;
  /** Conversations that go through it, whoever holds them, and those that end with it so far. */
  conversations = 0;
  tips = 0;

  constructor(hash: string) {
    this.hash = hash;
  }

  has(owner: Owner): boolean {
    return this.#first === owner || this.#others?.has(owner) === true;
  }

  add(owner: Owner): void {
    this.conversations += 1;
    if (this.#first === owner) this.#count += 1;
    else if (this.#first === null && !this.#others?.has(owner)) {
      this.#first = owner;
      this.#count = 1;
    } else {
      this.#others ??= new Map();
      this.#others.set(owner, (this.#others.get(owner) ?? 0) + 1);
    }
  }

  /** One conversation less. Returns whether nobody holds the prefix any longer. */
  drop(owner: Owner): boolean {
    this.conversations -= 1;
    if (this.#first === owner) {
      this.#count -= 1;
      if (this.#count === 0) this.#first = null;
    } else {
      const count = this.#others?.get(owner) ?? 0;
      if (count > 1) this.#others?.set(owner, count - 1);
      else this.#others?.delete(owner);
    }
    return this.#first === null && (this.#others === null || this.#others.size === 0);
  }

  /** At most `most` of them, in no order that means anything. */
  some(most: number): Owner[] {
    const found: Owner[] = [];
    if (this.#first !== null && most > 0) found.push(this.#first);
    if (this.#others === null) return found;
    for (const owner of this.#others.keys()) {
      if (found.length >= most) break;
      found.push(owner);
    }
    return found;
  }
}

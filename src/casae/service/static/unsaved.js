/** Changes that the server does not have yet, in the browser's database: a reload or a lost connection loses none. */
function open() {
  return new Promise((resolve, reject) => {
    const asked = indexedDB.open("casae-labels", 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore("unsaved");
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}

async function inStore(mode, does) {
  const base = await open();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = base.transaction("unsaved", mode);
      const asked = does(transaction.objectStore("unsaved"));
      transaction.oncomplete = () => resolve(asked.result);
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    base.close();
  }
}

/** {version, place, bytes} of a key; undefined without. */
export const read = (key) => inStore("readonly", (store) => store.get(key));
export const write = (key, change) => inStore("readwrite", (store) => store.put(change, key));
export const keys = () => inStore("readonly", (store) => store.getAllKeys());
export const drop = (key) => inStore("readwrite", (store) => store.delete(key));

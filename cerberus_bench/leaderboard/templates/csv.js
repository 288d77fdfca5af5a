/** Rows of a table as `cerberus-bench leaderboard --csv` prints them, in the order shown. */
function csvRows(table, entries) {
  return entries.flatMap((entry) => entry.cells.flatMap((cell, i) => (
    cell ? [{ ...table.fields, ...entry.fields, ...table.columns[i].fields, ...cell.fields }] : [])));
}

function csvText(rows) {
  const names = Object.keys(rows[0] || {});
  const lines = [names, ...rows.map((row) => names.map((name) => csvCell(row[name])))];
  return lines.map((line) => `${line.join(',')}\n`).join('');
}

/** Quoted where need be; what a spreadsheet would run as a formula gets a quotation mark. */
function csvCell(value) {
  if (value === null) return '';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'number') return String(value);
  const text = /^[=+\-@]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Offer text as a file; it is made in memory, so nothing is sent anywhere. */
function download(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: 'text/csv' }));
  el('a', { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

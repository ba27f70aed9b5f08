// A button on each block of code: of an example it copies the input, without prompts and output.
function source(block) {
  const copy = block.cloneNode(true);
  copy.querySelectorAll(".go, .gt, .gr").forEach((output) => output.remove());
  const prompts = copy.querySelectorAll(".gp");
  prompts.forEach((prompt) => prompt.remove());
  const lines = copy.textContent.trimEnd().split("\n");
  return (prompts.length ? lines.filter((line) => line.trim()) : lines).join("\n") + "\n";
}

for (const block of navigator.clipboard ? document.querySelectorAll("div.highlight pre") : []) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(source(block));
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  block.parentElement.append(button);
}

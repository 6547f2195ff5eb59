"""An HTML page as a strict reader sees it."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br", "hr", "img", "input", "link"}


@dataclass
class Page(HTMLParser):
    """Elements, ids, references, headings and text of a page; a tag that does not close is an error."""

    tags: list = field(default_factory=list)
    ids: list = field(default_factory=list)
    references: list = field(default_factory=list)
    headings: list = field(default_factory=list)
    open_tags: list = field(default_factory=list)
    text: str = ""

    def __post_init__(self):
        super().__init__(convert_charrefs=True)

    @classmethod
    def of(cls, text):
        page = cls()
        page.feed(text)
        page.close()
        assert not page.open_tags, page.open_tags
        return page

    def handle_starttag(self, tag, attributes):
        self._seen(tag, dict(attributes))
        if tag not in VOID:
            self.open_tags.append(tag)

    def handle_startendtag(self, tag, attributes):
        self._seen(tag, dict(attributes))

    def handle_endtag(self, tag):
        assert self.open_tags.pop() == tag

    def handle_data(self, data):
        if self.open_tags and self.open_tags[-1] in ("h1", "h2"):
            self.headings.append(data)
        if "style" not in self.open_tags:
            self.text += data

    def _seen(self, tag, attributes):
        self.tags.append((tag, attributes))
        self.ids += [value for name, value in attributes.items() if name == "id"]
        self.references += [v for name, v in attributes.items() if name in ("src", "href", "xlink:href", "action")]

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

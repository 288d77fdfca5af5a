"""XML of strangers: parsed without entities, external references or DTDs."""

from xml.etree.ElementTree import Element, ParseError

from cerberus_bench.schema.errors import DataError


def parse_xml(document: bytes, name: str, what: str) -> Element:
    """The root of an XML document.

    Args:
        document: its bytes.
        name: how to speak of the file.
        what: what it should be, such as `Pascal VOC annotation`.

    Raises:
        DataError: it is no XML, or declares entities.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root: Element = fromstring(document)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise DataError(
            f"{name} is no {what} ({error}). It is damaged or was changed: obtain it again."
        ) from None
    return root
